//! The toolchain of a program, according to its `producers` sections.

use crate::{caps, names};
use cloister_model::Toolchain;
use wasmparser::{CustomSectionReader, KnownCustom, Result};

/// Adds the entries of a `producers` section to the list, without duplicates. The list is informational, so an unreadable
/// section is not a reason to refuse a program. Entries before the error are kept.
pub(crate) fn collect(section: &CustomSectionReader<'_>, list: &mut Vec<Toolchain>) {
    let _ = read(section, list);
}

fn read(section: &CustomSectionReader<'_>, list: &mut Vec<Toolchain>) -> Result<()> {
    let KnownCustom::Producers(fields) = section.as_known() else { return Ok(()) };
    for field in fields {
        let field = field?;
        for value in field.values {
            if list.len() == caps::TOOLCHAIN_ENTRIES {
                return Ok(());
            }
            let value = value?;
            let [field, name, version] =
                [field.name, value.name, value.version].map(|text| names::cut(text, caps::TOOLCHAIN_BYTES).to_owned());
            let entry = Toolchain { field, name, version };
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{Parser, Payload};

    fn string(text: &str) -> Vec<u8> {
        let mut length = text.len();
        let mut bytes = Vec::new();
        loop {
            let byte = u8::try_from(length & 0x7f).expect("seven bits");
            length >>= 7;
            bytes.push(if length == 0 { byte } else { byte | 0x80 });
            if length == 0 {
                break;
            }
        }
        bytes.extend(text.as_bytes());
        bytes
    }

    fn list(content: &[u8]) -> Vec<Toolchain> {
        let mut module = b"\0asm\x01\0\0\0\0".to_vec();
        let section = [string("producers"), content.to_vec()].concat();
        module.extend(string(&"x".repeat(section.len())).iter().take_while(|byte| **byte != b'x'));
        module.extend(section);
        let mut found = Vec::new();
        for payload in Parser::new(0).parse_all(&module) {
            if let Payload::CustomSection(section) = payload.expect("a module") {
                collect(&section, &mut found);
            }
        }
        found
    }

    #[test]
    fn keeps_each_entry_once() {
        let field = [string("language"), vec![2], string("Rust"), string(""), string("Rust"), string("")].concat();
        let found = list(&[vec![1], field].concat());
        assert_eq!(found, [Toolchain { field: "language".into(), name: "Rust".into(), version: String::new() }]);
    }

    #[test]
    fn bounds_texts_and_entries() {
        let mut field = [string("sdk"), vec![100]].concat();
        for index in 0..100 {
            field.extend(string(&"n".repeat(1000)));
            field.extend(string(&index.to_string()));
        }
        let found = list(&[vec![1], field].concat());
        assert_eq!(found.len(), caps::TOOLCHAIN_ENTRIES);
        assert_eq!(found[0].name.len(), caps::TOOLCHAIN_BYTES);
    }

    #[test]
    fn a_broken_section_is_ignored() {
        assert_eq!(list(b"\xff\xff\xff\xff\x0f"), []);
        assert_eq!(list(&[vec![1], string("language"), vec![0xff, 0xff, 0xff, 0xff, 0x0f]].concat()), []);
    }
}
