//! The check digit of session codes, by the Damm algorithm: a totally anti-symmetric quasigroup of
//! order 10 (H. M. Damm, "Total anti-symmetrische Quasigruppen", Marburg 2004). It finds every
//! single wrong digit and every swap of two neighbours, the two slips that people make on the
//! phone.

/// The quasigroup. Row: the interim digit; column: the next digit.
const QUASIGROUP: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

/// Returns the check digit, in ASCII, of ASCII digits. Bytes that aren't digits are the caller's
/// mistake; they are taken modulo ten rather than panicking.
pub(crate) fn check_digit(digits: &[u8]) -> u8 {
    let interim = digits.iter().fold(0, |interim: u8, byte| {
        let digit = byte.wrapping_sub(b'0') % 10;
        QUASIGROUP[usize::from(interim)][usize::from(digit)]
    });
    b'0' + interim
}

/// Returns whether the last of `digits` is the check digit of those before it.
pub(crate) fn is_valid(digits: &[u8]) -> bool {
    digits
        .split_last()
        .is_some_and(|(last, rest)| check_digit(rest) == *last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_check(mut digits: Vec<u8>) -> Vec<u8> {
        digits.push(check_digit(&digits));
        digits
    }

    fn digits() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(b'0'..=b'9', 1..16).prop_map(with_check)
    }

    #[test]
    fn the_published_example() {
        assert_eq!(check_digit(b"572"), b'4');
        assert!(is_valid(b"5724"));
        assert!(!is_valid(b""));
    }

    proptest! {
        #[test]
        fn every_wrong_digit_is_found(code in digits()) {
            for position in 0..code.len() {
                for wrong in (b'0'..=b'9').filter(|digit| *digit != code[position]) {
                    let mut typed = code.clone();
                    typed[position] = wrong;
                    prop_assert!(!is_valid(&typed));
                }
            }
        }

        #[test]
        fn every_swap_of_neighbours_is_found(code in digits()) {
            for position in 1..code.len() {
                let mut typed = code.clone();
                typed.swap(position - 1, position);
                prop_assert_eq!(is_valid(&typed), typed == code);
            }
        }

        #[test]
        fn bytes_that_are_no_digits_do_no_harm(bytes: Vec<u8>) {
            prop_assert!(check_digit(&bytes).is_ascii_digit());
        }
    }
}
