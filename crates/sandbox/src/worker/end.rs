use super::spec::End;
use crate::{
    account::Account,
    guest::{AbiViolation, Exit, TrappedImport},
};
use cloister_model::{Limit, TrapKind};
use wasmtime::{ThrownException, Trap};

/// What the engine says if a guest has more instances, memories or tables than the store takes. It has no type for
/// that; a hostile guest over the built program keeps this text true.
const TOO_MANY: &str = "resource limit exceeded: ";

/// Says how a guest ended, from what the engine returned. What the account denied it is weighed by the supervisor.
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
        // Anything else comes from instantiation. With a denial on the account, the guest's declarations did it.
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
        // wasmtime's list is open: new traps come with new versions.
        _ => TrapKind::Other,
    }
}
