use std::io;

/// What was found, or nothing if there is no file of that name.
///
/// # Errors
/// Every other failure.
pub fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// A name that no other file has: 128 random bits, as 32 hexadecimal digits.
///
/// # Errors
/// If the machine gives no random bytes.
pub fn random_name() -> io::Result<String> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn only_a_missing_file_is_nothing() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert!(matches!(if_there::<()>(Err(missing)), Ok(None)));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(if_there::<()>(Err(denied)).map_err(|error| error.kind()), Err(io::ErrorKind::PermissionDenied));
        assert!(matches!(if_there(Ok(7)), Ok(Some(7))));
    }

    #[test]
    fn names_differ_and_have_32_digits() {
        let names: BTreeSet<String> = (0..100).map(|_| random_name().expect("random bytes")).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
