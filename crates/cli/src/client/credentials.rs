use super::ClientError;
use crate::sign_in::Renewal;
use cloister_model::Secret;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The key that a service is sent. Cheap to clone; all clones renew it together.
#[derive(Clone, Debug)]
pub(super) struct Credentials(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    key: Secret<String>,
    renewal: Option<Renewal>,
}

impl Credentials {
    /// A key, and how it is renewed if it is a token that can be.
    pub(super) fn new(key: Secret<String>, renewal: Option<Renewal>) -> Self {
        Self(Arc::new(Mutex::new(State { key, renewal })))
    }

    /// The key, renewed if it has to be.
    ///
    /// # Errors
    /// If it cannot be renewed.
    pub(super) async fn current(&self) -> Result<Secret<String>, ClientError> {
        // Held while it is renewed, so that it is renewed once.
        let mut state = self.0.lock().await;
        let State { key, renewal } = &mut *state;
        if let Some(renewal) = renewal.as_mut().filter(|renewal| renewal.is_due()) {
            *key = renewal.renew().await?;
        }
        Ok(key.clone())
    }
}
