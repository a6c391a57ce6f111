//! User namespaces: in one, the files of users that it doesn't map belong to the overflow id, root's
//! among them (user_namespaces(7)). Who owns such a file can't be told from inside.

/// The owner that files of unmapped users have, unless the kernel was told otherwise.
const DEFAULT_OVERFLOW_UID: u32 = 65534;

/// Returns whether this process is in a user namespace that doesn't map the owner `uid` of a file.
pub fn is_unmapped_owner(uid: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let overflow = read("/proc/sys/kernel/overflowuid").trim().parse();
    uid == overflow.unwrap_or(DEFAULT_OVERFLOW_UID) && !maps_everybody(&read("/proc/self/uid_map"))
}

/// Returns whether a `uid_map` is the initial namespace's, which maps every user to itself.
fn maps_everybody(uid_map: &str) -> bool {
    let numbers: Vec<u32> = uid_map
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    // Without /proc nothing is known, and the ordinary refusal stands.
    numbers.is_empty() || numbers == [0, 0, u32::MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_told_by_its_map() {
        assert!(maps_everybody("         0          0 4294967295\n"));
        assert!(maps_everybody(""));
        assert!(!maps_everybody("      1000       1000          1\n"));
        assert!(!maps_everybody("0 1000 1\n1 100000 65536\n"));
    }
}
