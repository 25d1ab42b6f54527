//! `wasi:sockets` for programs that only mention it: every function answers with an error. No code that could open a socket is
//! linked, in this module or elsewhere.
//!
//! Rust programs import all of `wasi:sockets` as soon as a crate names `std::net`, and so does what componentize-py makes. As no call
//! gives a guest a socket, nothing that needs one can be reached; a guest that declares a socket to be a network gets errors, too.

use crate::guest::{AbiViolation, Guest};
use wasmtime::{
    Engine, Result, StoreContextMut,
    component::{
        Component, Linker, Resource, ResourceType, Type, Val,
        types::{ComponentFunc, ComponentItem},
    },
};

/// A resource of `wasi:sockets`. A network is all that a guest ever gets, and no call works on it.
enum NoSocket {}

/// The call cannot be made: it needs a socket.
const NO_SOCKET: AbiViolation = AbiViolation("a call on a socket that does not exist");
/// What is said where an interface has this error, as all of `wasi:sockets` do.
const ERROR: &str = "not-supported";
/// The types of `wasi:io` that interfaces of `wasi:sockets` use. They are linked where they are defined.
const OF_STREAMS: [&str; 4] = ["error", "input-stream", "output-stream", "pollable"];

/// Links what a component imports of `wasi:sockets`. Admission has checked the names of the interfaces.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>, component: &Component, engine: &Engine) -> Result<()> {
    for (interface, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        if !cloister_admission::is_answered_network(interface) {
            continue;
        }
        let mut linked = linker.instance(interface)?;
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => linked.func_new(name, answer)?,
                ComponentItem::Resource(_) if !OF_STREAMS.contains(&name) => {
                    linked.resource(name, ResourceType::host::<NoSocket>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Answers a call with an error if its result can be one, and with a network that leads nowhere if it returns a resource.
fn answer(
    mut store: StoreContextMut<'_, Guest>,
    function: ComponentFunc,
    parameters: &[Val],
    results: &mut [Val],
) -> Result<()> {
    // A host that keeps what it was lent ends the call in a trap.
    for parameter in parameters {
        if let Val::Resource(lent) = parameter {
            lent.resource_drop(&mut store)?;
        }
    }
    let (Some(result), Some(kind)) = (results.first_mut(), function.results().next()) else {
        return Err(NO_SOCKET.into());
    };
    *result = match kind {
        Type::Result(kind) => Val::Result(Err(kind.err().map(|error| refusal(&error)).transpose()?.map(Box::new))),
        Type::Own(_) => Val::Resource(Resource::<NoSocket>::new_own(0).try_into_resource_any(store)?),
        _ => return Err(NO_SOCKET.into()),
    };
    Ok(())
}

fn refusal(kind: &Type) -> Result<Val> {
    match kind {
        Type::Enum(kind) if kind.names().any(|name| name == ERROR) => Ok(Val::Enum(ERROR.to_owned())),
        _ => Err(NO_SOCKET.into()),
    }
}
