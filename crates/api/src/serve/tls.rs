use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::sync::Arc;

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is not PEM, or holds no certificate.
    #[error("the certificate cannot be read: {0}; give a PEM file, the server's own certificate first")]
    Certificate(String),
    /// The text is not PEM, or holds no key.
    #[error("the private key cannot be read; give a PEM file with one unencrypted key")]
    Key,
    /// They do not fit each other, or are of an unknown kind.
    #[error("certificate and private key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with this certificate chain and private key, both as PEM texts.
///
/// # Errors
/// What is wrong with them. Nothing of the key is shown.
pub fn tls_config(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::Certificate("there is none in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_refused() {
        assert!(matches!(tls_config(b"", b""), Err(TlsError::Certificate(_))));
        let pem = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        assert!(matches!(tls_config(pem, b"SECRET"), Err(TlsError::Key)));
    }
}
