use super::{Ddo, Service, ServiceKind};
use crate::escape;

/// Services that an error message lists.
const MOST_LISTED: usize = 10;

/// Why it is not clear which service of an asset is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// No service has the id that was named.
    #[error("the asset has no service with this id; it has: {known}", known = .0.join(", "))]
    Unknown(Vec<String>),
    /// The asset has no service at all.
    #[error("the asset has no service")]
    NoService,
    /// No id was named, and more than one service could be meant.
    #[error("the asset has several services; name one")]
    Several,
}

impl Ddo {
    /// The service that a request means: the one with this id, or, if the request names none, the only compute service, or
    /// else the only service.
    ///
    /// # Errors
    /// If there is no such service, or more than one could be meant.
    pub fn service_meant(&self, wanted: Option<&str>) -> Result<&Service, ServiceError> {
        if let Some(id) = wanted {
            return self.service(id).ok_or_else(|| {
                let known = self.services().iter().take(MOST_LISTED);
                ServiceError::Unknown(known.map(|service| escape(service.id.as_bytes(), 64).to_string()).collect())
            });
        }
        let computes = |service: &&Service| matches!(service.kind, ServiceKind::Compute(_));
        let mut compute = self.services().iter().filter(computes);
        match (compute.next(), compute.next(), self.services()) {
            (Some(only), None, _) | (None, None, [only]) => Ok(only),
            (_, _, []) => Err(ServiceError::NoService),
            _ => Err(ServiceError::Several),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ddo(services: &[(&str, &str)]) -> Ddo {
        let services: Vec<Value> = services.iter().map(|(id, kind)| json!({"id": id, "type": kind})).collect();
        Ddo::from_value(json!({
            "id": "did:op:a", "metadata": {"type": "dataset", "name": "a"}, "services": services
        }))
        .expect("a DDO")
    }

    #[test]
    fn a_service_is_chosen_only_where_one_is_meant() {
        let chosen = |services: &[(&str, &str)], wanted: Option<&str>| {
            ddo(services).service_meant(wanted).map(|found| found.id.clone())
        };
        let both = [("a", "access"), ("c", "compute")];
        assert_eq!(chosen(&both, None).as_deref(), Ok("c"));
        assert_eq!(chosen(&both, Some("a")).as_deref(), Ok("a"));
        assert_eq!(chosen(&both, Some("b")), Err(ServiceError::Unknown(vec!["a".to_owned(), "c".to_owned()])));
        assert_eq!(chosen(&[("a", "access")], None).as_deref(), Ok("a"));
        assert_eq!(chosen(&[("a", "access"), ("b", "access")], None), Err(ServiceError::Several));
        assert_eq!(chosen(&[("c", "compute"), ("d", "compute")], None), Err(ServiceError::Several));
        assert_eq!(chosen(&[], None), Err(ServiceError::NoService));
    }
}
