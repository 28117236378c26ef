//! Counts with their nouns.

/// A count with its noun, such as "1 dialog" and "2 dialogs".
pub(crate) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_several() {
        let all = [0, 1, 2].map(|count| counted(count, "file"));
        assert_eq!(all, ["0 files", "1 file", "2 files"]);
    }
}
