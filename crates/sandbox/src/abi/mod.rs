//! The two ways a guest calls its host. Both only translate: what is allowed is decided in [`crate::fs`].

pub(crate) mod component;
pub(crate) mod preview1;
#[cfg(test)]
mod test_host;
