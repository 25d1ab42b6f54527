//! Walks component types without recursion.
//!
//! wasmparser reads component and instance types recursively without a bound on the depth, so three bytes per level
//! overflow the stack. This walk uses its own stack and wasmparser only for what lies between two levels. It runs before
//! any other code reads such a section.

use crate::caps;
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExternName, ComponentImport, ComponentType, ComponentTypeRef, CoreType,
    Result,
};

/// Counts over a section of component types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declarations {
    /// Types and their declarations, at every level.
    pub(crate) count: u64,
    /// Declarations that import or export an instance or a component. The validator copies its type there.
    pub(crate) instances: u64,
    /// Whether the walk stopped at [`caps::TYPE_DEPTH`].
    pub(crate) too_deep: bool,
}

/// Walks `count` component types. Stops at the first error. The validator fails at the same place, so it cannot recurse
/// deeper than this walk.
pub(crate) fn walk(mut reader: BinaryReader<'_>, count: u32) -> Declarations {
    let mut seen = Declarations::default();
    let _ = walk_types(&mut reader, count, &mut seen);
    seen
}

fn walk_types(reader: &mut BinaryReader<'_>, count: u32, seen: &mut Declarations) -> Result<()> {
    // The number of remaining declarations at each level. The first level is the section, which contains types only.
    let mut open = vec![count];
    while let Some(remaining) = open.last_mut() {
        if *remaining == 0 {
            open.pop();
            continue;
        }
        *remaining -= 1;
        seen.count += 1;
        if seen.count > caps::TYPES {
            return Ok(());
        }
        let is_type = open.len() == 1 || declares_type(reader, seen)?;
        if let Some(declarations) = is_type.then(|| enter(reader)).transpose()?.flatten() {
            if open.len() > caps::TYPE_DEPTH {
                seen.too_deep = true;
                return Ok(());
            }
            open.push(declarations);
        }
    }
    Ok(())
}

/// Reads one declaration, or only its first byte if it is a type.
fn declares_type(reader: &mut BinaryReader<'_>, seen: &mut Declarations) -> Result<bool> {
    let named = match reader.read_u8()? {
        0x00 => {
            if let CoreType::Module(declarations) = reader.read()? {
                seen.count += u64::try_from(declarations.len()).unwrap_or(u64::MAX);
            }
            return Ok(false);
        }
        0x02 => {
            reader.read::<ComponentAlias<'_>>()?;
            return Ok(false);
        }
        0x03 => reader.read::<ComponentImport<'_>>()?.ty,
        0x04 => {
            reader.read::<ComponentExternName<'_>>()?;
            reader.read::<ComponentTypeRef>()?
        }
        // 0x01, and all unknown bytes: read as a type, they fail here as in the validator.
        _ => return Ok(true),
    };
    if matches!(named, ComponentTypeRef::Instance(_) | ComponentTypeRef::Component(_)) {
        seen.instances += 1;
    }
    Ok(false)
}

/// Reads a type, or its beginning up to its declarations.
fn enter(reader: &mut BinaryReader<'_>) -> Result<Option<u32>> {
    let mut ahead = reader.clone();
    if matches!(ahead.read_u8()?, 0x41 | 0x42) {
        let declarations = ahead.read_var_u32()?;
        *reader = ahead;
        return Ok(Some(declarations));
    }
    reader.read::<ComponentType<'_>>()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of one type: `levels` instance types, one in the other.
    fn nested(levels: usize) -> Vec<u8> {
        let mut section = b"\x42\x01\x01".repeat(levels);
        section.extend(b"\x42\x00");
        section
    }

    fn walk_bytes(bytes: &[u8], count: u32) -> Declarations {
        walk(BinaryReader::new(bytes, 0), count)
    }

    #[test]
    fn counts_at_every_level() {
        let seen = walk_bytes(&nested(3), 1);
        assert_eq!(seen, Declarations { count: 4, instances: 0, too_deep: false });
        // (type (instance (type (instance)) (export "a" (instance (type 0)))))
        let exporting = b"\x42\x02\x01\x42\x00\x04\x00\x01a\x05\x00";
        assert_eq!(walk_bytes(exporting, 1), Declarations { count: 3, instances: 1, too_deep: false });
    }

    #[test]
    fn stops_at_the_maximum_depth() {
        assert!(!walk_bytes(&nested(caps::TYPE_DEPTH - 1), 1).too_deep);
        assert!(walk_bytes(&nested(caps::TYPE_DEPTH), 1).too_deep);
        assert!(walk_bytes(&nested(5_000_000), 1).too_deep);
    }

    #[test]
    fn ends_at_the_end_of_the_bytes() {
        assert_eq!(walk_bytes(&[], u32::MAX).count, 1);
        assert_eq!(walk_bytes(b"\x42\xff\xff\xff\xff\x0f", u32::MAX).count, 2);
        assert_eq!(walk_bytes(&[0x7f; 200_000], u32::MAX).count, caps::TYPES + 1);
    }
}
