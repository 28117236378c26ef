//! Finds leftovers: bytes in the unused space of a database page.
//!
//! SQLite overwrites a row that it deletes (`secure_delete`). But when it rebuilds a page of a B-tree, copies of
//! rows that moved to another page can stay between the rows that did not. When such a row is deleted later,
//! SQLite does not know of the copy: its text or id stays in the file.

use std::ops::Range;

/// How many pages a store can have at most: 128 GiB in pages of 4 KiB. With more, the first byte of a page would
/// no longer show whether it belongs to a B-tree (see [`dirty`]).
pub(crate) const MAX_PAGES: u32 = 0x01ff_ffff;

/// Returns the unused ranges of `page` that hold bytes other than zero. `number` is the number of the page. The
/// result is empty for a page that does not belong to a B-tree or is damaged.
///
/// A B-tree page has a header, an array of pointers, a gap, and then the cells, which hold rows or entries of an
/// index, with free blocks between them (<https://www.sqlite.org/fileformat2.html>, section 1.6). The gap and the free
/// blocks are unused.
///
/// When SQLite removes a cell, it moves the later pointers of the array forward by one place, and a copy of the
/// last one stays at the beginning of the gap. If the array still has that pointer, the copy reveals nothing, and
/// it does not count as a leftover: otherwise every page from which a row was deleted would have to be cleaned.
///
/// Pages of other kinds begin with the number of another page. Its first byte is 0 or 1 as long as the database has
/// at most [`MAX_PAGES`], so they are never taken for pages of a B-tree.
pub(crate) fn dirty(number: u32, page: &[u8]) -> Vec<Range<usize>> {
    let Some(Spaces { pointers, gap, blocks }) = spaces(number, page) else { return Vec::new() };
    let is_dirty = |space: &Range<usize>| has_bytes(&page[space.clone()]);
    let is_gap_dirty = has_bytes(after_repeated(&page[pointers], &page[gap.clone()]));
    is_gap_dirty.then_some(gap).into_iter().chain(blocks.into_iter().filter(is_dirty)).collect()
}

fn has_bytes(space: &[u8]) -> bool {
    space.iter().fold(0, |all, byte| all | byte) != 0
}

/// The gap without the pointers at its beginning that are also in the array.
fn after_repeated<'p>(pointers: &[u8], gap: &'p [u8]) -> &'p [u8] {
    let (repeated, _) = gap.as_chunks::<2>();
    let (pointers, _) = pointers.as_chunks::<2>();
    // The search begins at the end: the copy is mostly of the last pointer.
    let count =
        repeated.iter().take_while(|at| pointers.iter().rev().any(|used| used == *at)).count();
    &gap[2 * count..]
}

/// The parts of a B-tree page, as its header describes them.
struct Spaces {
    pointers: Range<usize>,
    /// The unused space between the pointers and the cells.
    gap: Range<usize>,
    /// Each free block without its own header.
    blocks: Vec<Range<usize>>,
}

/// The parts of a page; `None` if it does not belong to a B-tree or is damaged.
fn spaces(number: u32, page: &[u8]) -> Option<Spaces> {
    // Page 1 begins with the header of the file.
    let header = if number == 1 { 100 } else { 0 };
    let field = |at: usize| {
        page.get(at..at + 2).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    };
    let pointers = header
        + match page.get(header)? {
            0x0a | 0x0d => 8,
            0x02 | 0x05 => 12,
            _ => return None,
        };
    let cells = field(header + 3)?;
    // Zero means 65,536, which does not fit in two bytes.
    let content = match field(header + 5)? {
        0 => 65_536,
        content => content,
    };
    let pointers = pointers..pointers + 2 * cells;
    let gap = pointers.end..content;
    if gap.start > gap.end || gap.end > page.len() {
        return None;
    }
    let mut blocks = Vec::new();
    let mut block = field(header + 1)?;
    while block != 0 {
        let (next, size) = (field(block)?, field(block + 2)?);
        let end = block + size;
        if block < content || size < 4 || end > page.len() || (next != 0 && next < end) {
            return None;
        }
        blocks.push(block + 4..end);
        block = next;
    }
    Some(Spaces { pointers, gap, blocks })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leaf page of an index with two cells, and a free block between them at 460.
    fn leaf(at: usize) -> Vec<u8> {
        let mut page = vec![0; 512];
        page[at] = 0x0a;
        page[at + 1..at + 3].copy_from_slice(&460_u16.to_be_bytes());
        page[at + 3..at + 5].copy_from_slice(&2_u16.to_be_bytes());
        page[at + 5..at + 7].copy_from_slice(&450_u16.to_be_bytes());
        page[460..462].copy_from_slice(&0_u16.to_be_bytes());
        page[462..464].copy_from_slice(&20_u16.to_be_bytes());
        page[450..460].fill(7);
        page[480..].fill(7);
        page
    }

    #[test]
    fn a_clean_page_has_nothing_to_clean() {
        assert_eq!(dirty(2, &leaf(0)), []);
        assert_eq!(dirty(1, &leaf(100)), []);
    }

    #[test]
    fn what_was_left_before_the_cells_and_in_a_free_block_is_found() {
        for (number, at) in [(2, 0), (1, 100)] {
            let mut page = leaf(at);
            page[449] = 1;
            page[470] = 1;
            assert_eq!(dirty(number, &page), [at + 12..450, 464..480]);
        }
    }

    #[test]
    fn pointers_that_are_repeated_behind_their_end_are_left_and_nothing_else_is() {
        let mut page = leaf(0);
        page[8..10].copy_from_slice(&490_u16.to_be_bytes());
        page[10..12].copy_from_slice(&480_u16.to_be_bytes());
        page[12..14].copy_from_slice(&480_u16.to_be_bytes());
        page[14..16].copy_from_slice(&490_u16.to_be_bytes());
        assert_eq!(dirty(2, &page), []);
        let leaf_gap: Vec<_> = std::iter::once(12..450).collect();
        for (at, byte) in [(13, 0xe1), (15, 1), (16, 1), (17, 1), (448, 1)] {
            let mut other = page.clone();
            other[at] = byte;
            assert_eq!(dirty(2, &other), leaf_gap, "byte {at}");
        }
    }

    #[test]
    fn other_pages_and_damaged_ones_are_left_alone() {
        let mut overflow = vec![1; 512];
        overflow[0] = 0;
        assert_eq!(dirty(2, &overflow), []);
        assert_eq!(dirty(2, &[]), []);
        assert_eq!(dirty(1, &[0x0d; 60]), []);
        for (at, value) in [(3, 0xff), (5, 0xff), (1, 0xff), (460, 1), (462, 0xff)] {
            let mut page = leaf(0);
            page[440] = 1;
            page[at] = value;
            assert_eq!(dirty(2, &page), [], "byte {at}");
        }
    }
}
