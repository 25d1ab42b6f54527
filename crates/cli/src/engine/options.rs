use crate::{config::Settings, exit::Usage};
use cloister_k8s_engine::{build::ResultStoreAccess, controller::EngineOptions};

/// What the controller wants to know.
///
/// # Errors
/// An image that is missing or not pinned.
pub(super) fn options(settings: &Settings) -> anyhow::Result<EngineOptions> {
    let unpinned = settings.k8s_unpinned_images;
    Ok(EngineOptions {
        cloister_image: image("k8s.cloister_image", settings.k8s_cloister_image.as_deref(), unpinned)?,
        sandbox_image: image("k8s.sandbox_image", settings.k8s_sandbox_image.as_deref(), unpinned)?,
        results: ResultStoreAccess {
            secret: settings.k8s_results_secret.clone(),
            claim: settings.k8s_results_claim.clone(),
        },
        sources_secret: settings.k8s_sources_secret.clone(),
        priority_class: settings.k8s_priority_class.clone(),
        user_namespaces: settings.k8s_user_namespaces,
        selinux_levels: settings.k8s_selinux_levels,
        strict_groups: settings.k8s_strict_groups,
    })
}

/// An image, pinned by its digest: otherwise anyone who can move a tag would decide what runs beside the data.
fn image(key: &str, value: Option<&str>, unpinned: bool) -> anyhow::Result<String> {
    let form = "write it with its digest, as registry.example.org/cloister@sha256:...";
    let value = value.ok_or_else(|| Usage::error(format!("`{key}` is empty; {form}")))?;
    if unpinned || is_pinned(value) {
        return Ok(value.to_owned());
    }
    Err(Usage::error(format!(
        "`{key}` is not pinned; {form}, or set `k8s.unpinned_images` in an installation where nothing depends on it"
    )))
}

fn is_pinned(image: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    image
        .split_once("@sha256:")
        .is_some_and(|(name, digest)| !name.is_empty() && digest.len() == 64 && digest.bytes().all(hexadecimal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    fn with(pairs: &[String]) -> anyhow::Result<EngineOptions> {
        let mut layers = Layers::default();
        for pair in pairs {
            layers.set(pair).expect("a known setting");
        }
        options(&Settings::resolve(&layers).expect("settings"))
    }

    #[test]
    fn images_are_pinned_by_their_digests() {
        let digest = "ab".repeat(32);
        let both = |cloister: &str, more: &str| {
            with(&[
                format!("k8s.cloister_image={cloister}"),
                format!("k8s.sandbox_image=r.example.org/sandbox@sha256:{digest}"),
                more.to_owned(),
            ])
        };
        let pinned = format!("r.example.org:5000/a/cloister:1.0@sha256:{digest}");
        assert_eq!(both(&pinned, "k8s.lease=true").expect("options").cloister_image, pinned);
        for wrong in [
            "",
            "cloister",
            "cloister:test",
            "cloister@sha256:ab",
            &format!("@sha256:{digest}"),
            &format!("cloister@sha256:{}", digest.to_uppercase()),
            &format!("{pinned}0"),
        ] {
            let error = both(wrong, "k8s.lease=true").expect_err(wrong).to_string();
            assert!(error.contains("`k8s.cloister_image`") && error.contains("@sha256:"), "{error}");
        }
        both("cloister:test", "k8s.unpinned_images=true").expect("insisted");
        assert!(both("", "k8s.unpinned_images=true").is_err());
    }
}
