use super::{Nonce, NonceError, Signature, SignatureError, text_digest};
use cloister_model::Sha256;
use cloister_service::{AddressError, EthereumAddress};

/// The scheme of the header, compared without letter case as HTTP does.
const SCHEME: &str = "Ethereum";

/// Bytes of the header's value: an address, a nonce, a signature and their names have fewer than 300.
const MOST_BYTES: usize = 512;

/// The value of `Authorization: Ethereum address=0x..,nonce=<Unix time>,signature=0x..`: the account that claims to send the
/// request, and the signature that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedRequest {
    /// The account that claims to send it.
    pub(crate) address: EthereumAddress,
    /// Makes it valid once.
    pub(crate) nonce: Nonce,
    signature: Signature,
}

/// Why a header proves nothing. It shows nothing of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignedRequestError {
    /// Not the three fields, each once.
    #[error("expected `Ethereum address=0x..,nonce=<Unix time>,signature=0x..`")]
    Form,
    /// The address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The nonce.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Another account signed, or another text was signed.
    #[error(
        "the signature is not this account's over this request; sign the address of this service if it has one, method, path and \
         query, nonce and body digest"
    )]
    Signer,
}

/// The text that an account signs (`personal_sign`) to send a request. It holds the digest of the body, so that a large body
/// can be checked while it arrives, and the address of the service, if the service is configured with one: otherwise, the
/// operator of another service could replay a request that was signed for that service.
fn request_text(service: Option<&str>, method: &str, path_and_query: &str, nonce: &str, body: &Sha256) -> String {
    let service = service.map(|url| format!(" {}", url.trim_end_matches('/'))).unwrap_or_default();
    format!("cloister-request{service}\n{method}\n{path_and_query}\n{nonce}\n{body}")
}

impl SignedRequest {
    /// Reads the value of an `Authorization` header; none if it is of another scheme.
    ///
    /// # Errors
    /// If it is of this scheme and malformed.
    pub(crate) fn from_header(value: &str) -> Option<Result<Self, SignedRequestError>> {
        let (scheme, fields) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case(SCHEME).then(|| Self::from_fields(fields))
    }

    fn from_fields(fields: &str) -> Result<Self, SignedRequestError> {
        if fields.len() > MOST_BYTES {
            return Err(SignedRequestError::Form);
        }
        let (mut address, mut nonce, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim_matches(' ').split_once('=').ok_or(SignedRequestError::Form)?;
            let place = match name {
                "address" => &mut address,
                "nonce" => &mut nonce,
                "signature" => &mut signature,
                _ => return Err(SignedRequestError::Form),
            };
            if place.replace(value).is_some() {
                return Err(SignedRequestError::Form);
            }
        }
        let (Some(address), Some(nonce), Some(signature)) = (address, nonce, signature) else {
            return Err(SignedRequestError::Form);
        };
        Ok(Self { address: address.parse()?, nonce: nonce.parse()?, signature: signature.parse()? })
    }

    /// Whether the account signed this very request, to the service of this address. The nonce is still to be checked and
    /// used up.
    ///
    /// # Errors
    /// [`SignedRequestError::Signer`], [`SignedRequestError::Signature`].
    pub(crate) fn verify(
        &self,
        service: Option<&str>,
        method: &str,
        path_and_query: &str,
        body: &Sha256,
    ) -> Result<(), SignedRequestError> {
        let text = request_text(service, method, path_and_query, self.nonce.as_str(), body);
        if self.signature.signer(&text_digest(&text))? == self.address {
            Ok(())
        } else {
            Err(SignedRequestError::Signer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Wallet, *};
    use proptest::prelude::*;

    fn digest(body: &[u8]) -> Sha256 {
        Sha256::of(body)
    }

    fn read(header: &str) -> Result<SignedRequest, SignedRequestError> {
        SignedRequest::from_header(header).expect("the scheme")
    }

    /// Made with Python's `eth-account`.
    #[test]
    fn a_request_that_another_library_signed() {
        let header = "Ethereum address=0x2c7536E3605D9C16a7a3D7b1898e529396a65c23, nonce=1795363289633593301, signature=\
                      0x7009538b67fb6b1b5cc41e624915938531b61f5fe64ef29453c874a9347407f222cd5e657bc8c73651fdb1170e3839670e14f25127ffe48662f3bbdc85374edc1c";
        let request = read(header).expect("a header");
        let body = digest(b"{\"a\":1}");
        assert_eq!(request.verify(None, "POST", "/v1/jobs?x=1", &body), Ok(()));
        for (method, path, body) in [
            ("GET", "/v1/jobs?x=1", &body),
            ("POST", "/v1/jobs", &body),
            ("POST", "/v1/jobs?x=2", &body),
            ("POST", "/v1/jobs?x=1", &digest(b"")),
        ] {
            assert_eq!(request.verify(None, method, path, body), Err(SignedRequestError::Signer));
        }
        let other = header.replace("nonce=1", "nonce=2");
        assert_eq!(
            read(&other).expect("a header").verify(None, "POST", "/v1/jobs?x=1", &body),
            Err(SignedRequestError::Signer)
        );
    }

    #[test]
    fn another_accounts_signature_proves_nothing() {
        let text = request_text(None, "GET", "/v1/whoami", "1795363289", &digest(b""));
        let (address, signature) = (Wallet::new(1).address(), Wallet::new(2).sign(&text));
        let request =
            read(&format!("ethereum address={address},nonce=1795363289,signature={signature}")).expect("a header");
        assert_eq!(request.verify(None, "GET", "/v1/whoami", &digest(b"")), Err(SignedRequestError::Signer));
    }

    /// The operator of another service replays a request that was signed for that service.
    #[test]
    fn a_request_to_another_service_is_refused() {
        let (wallet, body) = (Wallet::new(1), digest(b""));
        let signed = |service: Option<&str>| {
            let signature = wallet.sign(&request_text(service, "POST", "/v1/keys", "1795363289", &body));
            read(&format!("Ethereum address={},nonce=1795363289,signature={signature}", wallet.address()))
                .expect("a header")
        };
        let ours = Some("https://ours.example");
        assert_eq!(signed(ours).verify(Some("https://ours.example/"), "POST", "/v1/keys", &body), Ok(()));
        for other in [None, Some("https://theirs.example"), Some("https://ours.example:444")] {
            assert_eq!(signed(other).verify(ours, "POST", "/v1/keys", &body), Err(SignedRequestError::Signer));
        }
        assert_eq!(signed(ours).verify(None, "POST", "/v1/keys", &body), Err(SignedRequestError::Signer));
    }

    #[test]
    fn malformed_headers_are_refused() {
        let wallet = Wallet::new(1);
        let (address, signature) = (wallet.address(), wallet.sign("x"));
        for fields in [
            String::new(),
            format!("address={address},nonce=1795363289"),
            format!("address={address},nonce=1795363289,signature={signature},nonce=1795363289"),
            format!("address={address},nonce=1795363289,signature={signature},more=1"),
            format!("address={address};nonce=1795363289;signature={signature}"),
            format!("address={address},nonce=1795363289,signature={signature},"),
            "a".repeat(MOST_BYTES + 1),
        ] {
            assert_eq!(read(&format!("Ethereum {fields}")), Err(SignedRequestError::Form), "{fields}");
        }
        assert!(matches!(
            read(&format!("Ethereum address=0x1,nonce=1,signature={signature}")),
            Err(SignedRequestError::Address(_))
        ));
        assert_eq!(SignedRequest::from_header("Bearer clk_1"), None);
        assert_eq!(SignedRequest::from_header("Ethereum"), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(header in "(Ethereum )?\\PC{0,200}") {
            let _ = SignedRequest::from_header(&header);
        }
    }
}
