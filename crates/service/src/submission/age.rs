/// The letters of Bech32, by their values (BIP 173).
const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Whether the text is an age recipient (`age1` and a Bech32 text of 32 bytes). Checked when a job is taken, because a typing
/// error would otherwise show only when the results cannot be stored.
#[must_use]
pub fn is_age_recipient(text: &str) -> bool {
    let Some(data) = text.strip_prefix("age1") else { return false };
    // 32 bytes are 52 letters, and a checksum has six.
    if data.len() != 58 {
        return false;
    }
    let values: Option<Vec<u8>> = data
        .bytes()
        .map(|byte| LETTERS.iter().position(|letter| *letter == byte).and_then(|at| u8::try_from(at).ok()))
        .collect();
    let Some(values) = values else { return false };
    let prefix = b"age";
    let expanded = prefix.iter().map(|byte| byte >> 5).chain([0]).chain(prefix.iter().map(|byte| byte & 31));
    expanded.chain(values).fold(1, step) == 1
}

fn step(checksum: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = checksum >> 25;
    let next = ((checksum & 0x01ff_ffff) << 5) ^ u32::from(value);
    GENERATOR.iter().enumerate().filter(|(i, _)| top >> i & 1 == 1).fold(next, |next, (_, word)| next ^ word)
}

#[cfg(test)]
mod tests {
    use super::is_age_recipient;

    /// From the specification of age.
    const GOOD: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn finds_a_typing_error() {
        assert!(is_age_recipient(GOOD));
        for (at, _) in GOOD.char_indices().skip(4) {
            let mut text = GOOD.to_owned();
            let other = if &text[at..=at] == "q" { "p" } else { "q" };
            text.replace_range(at..=at, other);
            assert!(!is_age_recipient(&text), "{text}");
        }
        for text in ["", "age1", "ssh-ed25519 AAAA", &GOOD.to_uppercase(), &GOOD[..61]] {
            assert!(!is_age_recipient(text), "{text}");
        }
    }
}
