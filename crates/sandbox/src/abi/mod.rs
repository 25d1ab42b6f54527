//! The two ABIs through which a guest calls its host. Both only translate: [`crate::fs`] decides what is allowed.

pub(crate) mod component;
pub(crate) mod preview1;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
mod test_host;
