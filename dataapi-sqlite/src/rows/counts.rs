//! The counts that a store keeps of its rows.

use dataapi_core::Date;
use rusqlite::Connection;

/// Counts the rows of a new store, and sets the row that each grant belongs to. Both follow from the other rows.
pub(crate) fn recount(connection: &Connection, last_date: Date) -> rusqlite::Result<()> {
    connection.execute_batch(
        // A dialog that was put back from a backup has another row now than when it was consented to.
        "UPDATE event SET seq = dialog.seq FROM dialog
             WHERE event.position = dialog.granted AND event.seq IS NOT dialog.seq;
         DELETE FROM consented_count;
         INSERT INTO consented_count SELECT '', '', count(*) FROM dialog INDEXED BY consented
             WHERE granted IS NOT NULL HAVING count(*) > 0;
         INSERT INTO consented_count SELECT customer_id, '', count(*)
             FROM dialog INDEXED BY consented_by_customer
             WHERE granted IS NOT NULL GROUP BY customer_id;
         INSERT INTO consented_count SELECT '', lower(language), count(*)
             FROM dialog INDEXED BY consented_by_language
             WHERE granted IS NOT NULL GROUP BY language;
         INSERT INTO consented_count SELECT customer_id, lower(language), count(*)
             FROM dialog INDEXED BY consented_by_customer_language
             WHERE granted IS NOT NULL GROUP BY customer_id, language;",
    )?;
    connection.execute(
        "UPDATE store SET last_date = ?1,
             pending = (SELECT count(*) FROM dialog INDEXED BY pending_by_date
                        WHERE granted IS NULL),
             (withdrawn, erased) =
                 (SELECT count(*) FILTER (WHERE kind = 2), count(*) FILTER (WHERE kind > 2)
                  FROM tombstone CROSS JOIN event USING (position)),
             early = (SELECT count(*) FROM early_grant)",
        [last_date.as_micros()],
    )?;
    Ok(())
}
