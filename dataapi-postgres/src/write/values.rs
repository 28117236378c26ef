//! Statements that write several rows at once.

/// The largest number of rows in one statement. The other sizes are the smaller powers of two, so that few statements
/// are prepared.
const ROWS_AT_ONCE: usize = 64;

/// Appends `VALUES ($1, …), (…)` for this many rows.
pub(crate) fn values(insert: &str, columns: usize, rows: usize) -> String {
    let row = |number: usize| {
        let places: Vec<_> =
            (1..=columns).map(|column| format!("${}", number * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!("{insert} VALUES {}", rows.join(", "))
}

/// Splits a number of rows into powers of two.
pub(crate) fn chunks(mut rows: usize) -> Vec<usize> {
    let mut chunks = Vec::new();
    let mut size = ROWS_AT_ONCE;
    while rows > 0 {
        while size > rows {
            size /= 2;
        }
        chunks.push(size);
        rows -= size;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_powers_of_two() {
        assert_eq!(chunks(0), []);
        assert_eq!(chunks(1), [1]);
        assert_eq!(chunks(200), [64, 64, 64, 8]);
        assert_eq!(chunks(77), [64, 8, 4, 1]);
    }

    #[test]
    fn a_statement_has_a_place_for_each_value() {
        assert_eq!(
            values("INSERT INTO t (a, b)", 2, 2),
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)"
        );
    }
}
