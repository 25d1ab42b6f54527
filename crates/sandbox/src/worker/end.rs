use super::message::End;
use crate::{
    account::Account,
    guest::{AbiViolation, Exit, TrappedImport},
};
use cloister_model::{Limit, TrapKind};
use wasmtime::{ThrownException, Trap};

/// The engine's message for a guest with more instances, memories or tables than the store allows. The engine has no
/// error type for this, so a test with a hostile guest checks that the text still matches.
const TOO_MANY: &str = "resource limit exceeded: ";

/// Classifies how a guest ended, from the engine's result. The supervisor then weighs the denials on the account.
pub(super) fn classify(ended: wasmtime::Result<u32>, account: &Account, instances: u32) -> End {
    let error = match ended {
        Ok(0) => return End::Returned,
        Ok(code) => return End::Exited(code),
        Err(error) => error,
    };
    if let Some(Exit(code)) = error.downcast_ref() {
        return if *code == 0 { End::Returned } else { End::Exited(*code) };
    }
    if error.is::<TrappedImport>() {
        return End::Trapped(TrapKind::TrappedImport);
    }
    if error.is::<AbiViolation>() {
        return End::Trapped(TrapKind::AbiViolation);
    }
    if error.is::<ThrownException>() {
        return End::Trapped(TrapKind::UncaughtException);
    }
    if !error.is::<Trap>() && format!("{error:#}").contains(TOO_MANY) {
        account.deny(Limit::Instances, instances.into(), u64::from(instances) + 1);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => End::OutOfFuel,
        Some(trap) => End::Trapped(trap_kind(*trap)),
        // Any other error comes from instantiation. If the account has a denial, the guest's declarations caused it.
        None if account.denial().is_some() => End::DoesNotFit,
        None => End::Fault(format!("{error:#}")),
    }
}

fn trap_kind(trap: Trap) -> TrapKind {
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::StackOverflow => TrapKind::StackOverflow,
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull | Trap::NullReference => TrapKind::IndirectCallToNull,
        Trap::BadSignature => TrapKind::BadSignature,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapKind::IntegerDivisionByZero,
        Trap::BadConversionToInteger => TrapKind::BadConversionToInteger,
        Trap::InvalidChar
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::UnalignedPointer
        | Trap::CannotLeaveComponent => TrapKind::AbiViolation,
        // wasmtime's enum is non-exhaustive: new versions add traps.
        _ => TrapKind::Other,
    }
}
