use crate::{Container, Sha256};
use std::fmt;

/// Bytes of the name of an image. A kubelet takes 255 of its path.
const MOST_NAME_BYTES: usize = 300;

/// A container image by its digest, so that it cannot be replaced by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedImage {
    name: String,
    digest: Sha256,
}

/// Why the image of an algorithm cannot be run, whatever the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It has no digest. A tag can be moved, and is never resolved.
    #[error("the image has no digest: `container.checksum` is `sha256:` and the 64 digits of the image's manifest")]
    NotPinned,
    /// Its name is not one of an image in a registry.
    #[error("the name of the image is not one of an image in a registry, such as `registry.example/team/image`")]
    Name,
}

impl PinnedImage {
    /// The image of an algorithm. Its tag is left out: the digest says more.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn of(container: &Container) -> Result<Self, ImageError> {
        let name = container.image.clone();
        if !is_name(&name) {
            return Err(ImageError::Name);
        }
        Ok(Self { name, digest: container.digest().ok_or(ImageError::NotPinned)? })
    }

    /// Whether it is below a prefix: the same host, and the path segments of the prefix. Never a part of a segment:
    /// `registry.example/team` holds `registry.example/team/image` and not `registry.example/teams/image`.
    #[must_use]
    pub fn is_below(&self, prefix: &str) -> bool {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        !prefix.is_empty()
            && self.name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for PinnedImage {
    /// As a pod names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@sha256:{}", self.name, self.digest)
    }
}

/// Whether a text is the name of an image, without tag and digest: a host, perhaps with a port, and path segments. The host is
/// required, so that no node's own idea of a default registry decides where an image comes from.
fn is_name(name: &str) -> bool {
    let Some((host, path)) = name.split_once('/') else { return false };
    let (domain, port) = host.split_once(':').map_or((host, None), |(domain, port)| (domain, Some(port)));
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_host = domain.split('.').all(label) && (domain.contains('.') || port.is_some() || domain == "localhost");
    let is_port =
        port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()));
    let segment = |segment: &str| {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = segment.bytes().next().zip(segment.bytes().last());
        ends.is_some_and(|(first, last)| alphanumeric(first) && alphanumeric(last))
            && segment.bytes().all(|byte| alphanumeric(byte) || matches!(byte, b'.' | b'_' | b'-'))
            && !segment.contains("..")
    };
    name.len() <= MOST_NAME_BYTES && is_host && is_port && path.split('/').all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, checksum: Option<&str>) -> Result<PinnedImage, ImageError> {
        let checksum = checksum.map(str::to_owned);
        PinnedImage::of(&Container {
            image: name.to_owned(),
            tag: Some("1".to_owned()),
            entrypoint: String::new(),
            checksum,
        })
    }

    #[test]
    fn an_image_is_its_name_and_its_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = image("registry.example/team/python", Some(&digest)).expect("an image");
        assert_eq!(pinned.to_string(), format!("registry.example/team/python@{digest}"));
        for absent in [None, Some(""), Some("a"), Some("sha256:a"), Some("sha512:a")] {
            assert_eq!(image("registry.example/team/python", absent), Err(ImageError::NotPinned), "{absent:?}");
        }
        for name in [
            "python",
            "library/python",
            "/python",
            "registry.example/",
            "registry.example//python",
            "registry.example/../python",
            "registry.example/team/..",
            "Registry.example/python",
            "registry.example/Python",
            "registry.example/python:3",
            "registry.example/python@sha256",
            "registry.example/py thon",
            "registry.example:/python",
            "registry.example:port/python",
            "user@registry.example/python",
            "https://registry.example/python",
            "registry.example/python\n",
            "-a.example/python",
        ] {
            assert_eq!(image(name, Some(&digest)), Err(ImageError::Name), "{name}");
        }
        for name in ["localhost/python", "localhost:5000/python", "r.example:443/a/b_c/d-e.f"] {
            assert!(image(name, Some(&digest)).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_prefix_is_a_host_and_whole_segments() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = image("registry.example/team/python", Some(&digest)).expect("an image");
        for prefix in ["registry.example", "registry.example/", "registry.example/team", "registry.example/team/python"]
        {
            assert!(pinned.is_below(prefix), "{prefix}");
        }
        for prefix in
            ["", "/", "registry", "registry.exam", "registry.example/te", "registry.example/team/pyth", "other"]
        {
            assert!(!pinned.is_below(prefix), "{prefix}");
        }
    }
}
