//! A fresh password for a tool with its own transport.

use zeroize::Zeroizing;

/// Digits of the password.
const DIGITS: usize = 8;

/// Returns random digits, each as likely as the others. A tool that takes no password makes its
/// own.
pub(crate) fn random_password() -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(DIGITS));
    while digits.len() < DIGITS {
        let mut byte = [0];
        getrandom::fill(&mut byte).expect("the system has randomness");
        // The largest multiple of ten in a byte; above it, the small digits would be likelier.
        if byte[0] < 250 {
            digits.push(char::from(b'0' + byte[0] % 10));
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_digits_and_never_the_same() {
        let (one, other) = (random_password(), random_password());
        assert!(one.len() == DIGITS && one.bytes().all(|byte| byte.is_ascii_digit()));
        assert_ne!(one, other);
    }
}
