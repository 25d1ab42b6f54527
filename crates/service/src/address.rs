use cloister_model::Account;
use sha3::{Digest as _, Keccak256};
use std::{fmt, str::FromStr};

/// The address of an Ethereum account: 20 bytes. Letter case, which holds a checksum (EIP-55), is not part of it, because
/// Ocean's clients send both spellings of one account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EthereumAddress([u8; 20]);

/// The text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is `0x` and 40 hexadecimal digits")]
pub struct AddressError;

impl EthereumAddress {
    /// The address that belongs to a public key: the last 20 bytes of the hash of its coordinates.
    #[must_use]
    pub fn of_public_key(coordinates: &[u8]) -> Self {
        let mut address = [0; 20];
        address.copy_from_slice(&Keccak256::digest(coordinates)[12..]);
        Self(address)
    }

    /// As text with the letter case that is its checksum (EIP-55): a letter is a capital if the hash of the lower-case digits
    /// has 8 or more at its place.
    #[must_use]
    pub fn checksummed(self) -> String {
        let lower = self.to_string();
        let hash = Keccak256::digest(&lower.as_bytes()[2..]);
        let nibble = |place: usize| hash[place / 2] >> (4 * (1 - place % 2)) & 0xf;
        let letter =
            |(place, digit): (usize, char)| if nibble(place) >= 8 { digit.to_ascii_uppercase() } else { digit };
        format!("0x{}", lower.chars().skip(2).enumerate().map(letter).collect::<String>())
    }

    /// The account that it is here.
    #[must_use]
    pub fn account(self) -> Account {
        self.to_string().parse().expect("42 printable characters are an account")
    }
}

impl FromStr for EthereumAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or(AddressError)?;
        // Checked first, because the decoder accepts another `0x`.
        if digits.len() != 2 * 20 {
            return Err(AddressError);
        }
        const_hex::decode_to_array(digits).map(Self).map_err(|_| AddressError)
    }
}

impl fmt::Display for EthereumAddress {
    /// In lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode_prefixed(self.0))
    }
}

impl fmt::Debug for EthereumAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EthereumAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_is_not_part_of_an_address() {
        let address = |text: &str| text.parse::<EthereumAddress>();
        let mixed = address("0x2c7536E3605D9C16a7a3D7b1898e529396a65c23").expect("an address");
        assert_eq!(address("0X2C7536E3605D9C16A7A3D7B1898E529396A65C23"), Ok(mixed));
        assert_eq!(mixed.to_string(), "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23");
        assert_eq!(mixed.account().key(), mixed.to_string());
    }

    /// The examples of EIP-55 itself.
    #[test]
    fn capitals_are_a_checksum() {
        for written in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let address: EthereumAddress = written.to_lowercase().parse().expect("an address");
            assert_eq!(address.checksummed(), written);
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "0x", "2c7536e3605d9c16a7a3d7b1898e529396a65c23", "0x2c7536e3605d9c16a7a3d7b1898e529396a65c2"]
        {
            assert_eq!(text.parse::<EthereumAddress>(), Err(AddressError), "{text}");
        }
        for text in [format!("0x{}", "é".repeat(20)), format!("0x+{}", "0".repeat(39)), format!("0x{}", "0".repeat(41))]
        {
            assert_eq!(text.parse::<EthereumAddress>(), Err(AddressError), "{text}");
        }
    }
}
