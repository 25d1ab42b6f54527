use super::{Layers, Settings, layers::variable, table::TABLE};
use std::io::{self, Write};

/// Writes every setting: what it does, its value, and which layer gave it. The output is a configuration file.
pub(crate) fn print(settings: &Settings, layers: &Layers, mut to: impl Write) -> io::Result<()> {
    for (setting, value) in TABLE.iter().zip(settings.shown()) {
        let is_empty = matches!(value.as_str(), "\"\"" | "{}" | "[]");
        let value = if setting.is_secret && !is_empty { "\"***\"".to_owned() } else { value };
        writeln!(to, "# {} ({}; {})", setting.doc, setting.expected, variable(setting.key))?;
        writeln!(to, "{} = {value}  # {}\n", setting.key, layers.origin(setting.key))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_origins_named() {
        let mut layers = Layers::default();
        layers.set("results.url=s3://b/p").expect("known");
        layers.set("results.options=aws_secret_access_key=PLANTED").expect("known");
        let settings = Settings::resolve(&layers).expect("settings");
        let mut written = Vec::new();
        print(&settings, &layers, &mut written).expect("written");
        let text = String::from_utf8(written).expect("text");
        assert!(!text.contains("PLANTED") && text.contains("results.options = \"***\"  # flag --set"), "{text}");
        assert!(text.contains("listen = \"127.0.0.1:8090\"  # default"), "{text}");
        assert!(text.contains("CLOISTER_SOURCES_LOCAL_ROOTS"), "{text}");
    }
}
