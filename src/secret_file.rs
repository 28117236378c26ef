//! Reads a secret from a file, such as one that a container gets.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The longest secret, in bytes. A URL or a key is far shorter.
const LONGEST: u64 = 64 << 10;

/// Reads a secret, such as a store's URL with its password, from a file or a pipe: its only line, without the line end.
///
/// # Errors
/// If the file cannot be read, is empty, is longer than 64 KiB, has more than one line, or is not UTF-8. The error does
/// not quote it.
pub fn read_secret(path: &Path) -> io::Result<String> {
    let mut secret = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut secret)?;
    let line = secret.trim_end_matches(['\r', '\n']);
    let wrong = |reason| Err(io::Error::new(ErrorKind::InvalidData, reason));
    match line {
        _ if secret.len() as u64 > LONGEST => wrong("it is too long for a secret"),
        "" => wrong("it is empty"),
        _ if line.contains('\n') => wrong("it has more than one line"),
        _ => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_and_nothing_of_it_is_in_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).expect("a file");
            read_secret(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"PW\n").as_deref(), Ok("PW"));
        assert_eq!(read(b" P W \r\n").as_deref(), Ok(" P W "), "spaces can belong to it");
        for wrong in [&b""[..], b"\n", b"PW\nPW\n", b"PW\xff", &b"PW".repeat(40_000)] {
            let error = read(wrong).expect_err("it is refused");
            assert!(!error.contains("PW"), "{error}");
        }
        assert!(read_secret(&folder.path().join("none")).is_err());
    }
}
