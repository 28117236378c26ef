//! 32 bytes as 64 hexadecimal digits.

use std::fmt;

/// Writes 64 hexadecimal digits in one call, because an export writes many of them.
pub(crate) fn write_hex32(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // The hash type formats any 32 bytes.
    f.write_str(&blake3::Hash::from_bytes(*bytes).to_hex())
}

pub(crate) fn hex32(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
