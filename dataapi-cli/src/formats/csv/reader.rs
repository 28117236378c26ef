//! Reads dialogs from CSV, where a quoted field can have line breaks.

use std::borrow::Cow;
use std::io::{self, BufRead, ErrorKind};

use csv_core::{ReadRecordResult, Reader};
use dataapi::{ImportedDialog, Invalid};
use dataapi_wire::{FieldValue, ImportFields};

use super::dialect::CsvDialect;
use super::formula::unguarded;
use crate::formats::import_line::{ImportLine, longest_line, not_utf8, too_long};

/// The records of a CSV input after its header.
pub(crate) struct CsvReader<R> {
    records: CsvRecords<R>,
    header: Vec<String>,
    max_text: usize,
    dialect: CsvDialect,
}

impl<R: BufRead> CsvReader<R> {
    /// Reads the header, which must name every required field, and no field twice.
    pub(crate) fn new(input: R, max_text: usize, dialect: CsvDialect) -> io::Result<Self> {
        let mut records = CsvRecords::new(input, longest_line(max_text));
        let header = records.next()?.ok_or_else(|| Invalid::new("the header", "is missing"));
        let header = header.and_then(|record| {
            record.shape?;
            let fields = records.fields()?.map(|name| name.trim().to_owned()).collect::<Vec<_>>();
            check_header(&fields)?;
            Ok(fields)
        });
        let header = header.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        records.ends.resize(header.len() + 1, 0);
        Ok(Self { records, header, max_text, dialect })
    }

    fn parse(&self) -> Result<ImportedDialog, Invalid> {
        let count = self.records.count;
        if count != self.header.len() {
            let fields = self.header.len();
            return Err(Invalid::new(
                "the line",
                format!("must have {fields} fields, as the header has"),
            ));
        }
        let mut fields = ImportFields::default();
        for (name, cell) in self.header.iter().zip(self.records.fields()?) {
            if let Some(field) = fields.named(name) {
                let cell = match self.dialect {
                    CsvDialect::Plain => cell.into(),
                    CsvDialect::Spreadsheet => unguarded(cell),
                };
                *field = value(name, cell);
            }
        }
        fields.into_dialog(self.max_text)
    }
}

impl<R: BufRead> Iterator for CsvReader<R> {
    type Item = io::Result<ImportLine>;

    fn next(&mut self) -> Option<io::Result<ImportLine>> {
        let record = match self.records.next() {
            Ok(record) => record?,
            Err(error) => return Some(Err(error)),
        };
        let dialog = record.shape.and_then(|()| self.parse());
        Some(Ok(ImportLine { number: record.number, last: record.last, dialog }))
    }
}

fn value<'a>(name: &str, cell: Cow<'a, str>) -> Option<FieldValue<'a>> {
    match name {
        _ if cell.is_empty() => None,
        "consent_received" if cell.eq_ignore_ascii_case("true") => Some(FieldValue::Bool(true)),
        "consent_received" if cell.eq_ignore_ascii_case("false") => Some(FieldValue::Bool(false)),
        _ => Some(FieldValue::String(cell)),
    }
}

fn check_header(header: &[String]) -> Result<(), Invalid> {
    let mut fields = ImportFields::default();
    for name in header {
        if let Some(field) = fields.named(name)
            && field.replace(FieldValue::Other).is_some()
        {
            return Err(Invalid::new("the header", "must not name a field twice"));
        }
    }
    match fields.missing() {
        Some(field) => Err(Invalid::new("the header", format!("must name the field {field}"))),
        None => Ok(()),
    }
}

/// Where a record starts and ends, and why it is not valid CSV.
struct RecordSpan {
    number: u64,
    last: u64,
    shape: Result<(), Invalid>,
}

/// Reads the records of an input into the same two buffers; skips what does not fit.
struct CsvRecords<R> {
    input: R,
    parser: Reader,
    output: Vec<u8>,
    /// Where each field ends in `output`; one place more than a record should have fields.
    ends: Vec<usize>,
    count: usize,
}

/// The most fields of a header.
const MOST_FIELDS: usize = 1000;

impl<R: BufRead> CsvRecords<R> {
    fn new(input: R, longest: usize) -> Self {
        let (mut output, mut ends) = (vec![0; longest], vec![0; MOST_FIELDS + 1]);
        let mut parser = Reader::new();
        // At the very start of its input the parser removes a byte order mark if the first read holds all of it.
        // That would be a second one, after the one that was already removed.
        parser.read_record(b"\n", &mut output, &mut ends);
        parser.set_line(1);
        Self { input, parser, output, ends, count: 0 }
    }

    fn next(&mut self) -> io::Result<Option<RecordSpan>> {
        if !self.skip_line_ends()? {
            return Ok(None);
        }
        let number = self.parser.line();
        let (mut length, mut shape) = (0, Ok(()));
        self.count = 0;
        let mut ends_line = false;
        loop {
            // The parser counts a line when it has read the end of it.
            let line = self.parser.line();
            let last = if ends_line { line - 1 } else { line };
            let chunk = fill(&mut self.input)?;
            let at_end = chunk.is_empty();
            // The file might lack its last line end. Inside quotes a line end does not end the record.
            let chunk = if at_end { b"\n" } else { chunk };
            let (result, taken, written, ended) = self.parser.read_record(
                chunk,
                &mut self.output[length..],
                &mut self.ends[self.count..],
            );
            if !at_end {
                ends_line = chunk[..taken].last() == Some(&b'\n');
                self.input.consume(taken);
            }
            length += written;
            self.count += ended;
            match result {
                ReadRecordResult::Record => {
                    let last = if at_end { last } else { self.parser.line() - 1 };
                    return Ok(Some(RecordSpan { number, last: last.max(number), shape }));
                }
                ReadRecordResult::InputEmpty if at_end => {
                    let shape = Err(Invalid::new("the line", "must close its quotes"));
                    return Ok(Some(RecordSpan { number, last: last.max(number), shape }));
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    shape = Err(too_long(self.output.len()));
                    length = 0;
                }
                ReadRecordResult::OutputEndsFull => {
                    let most = self.ends.len() - 1;
                    let rule = format!("must have at most {most} fields");
                    shape = shape.and(Err(Invalid::new("the line", rule)));
                    self.count = 0;
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Skips to the start of the next record, so that the parser's line number is the record's. `false` at the end
    /// of the input.
    fn skip_line_ends(&mut self) -> io::Result<bool> {
        loop {
            match fill(&mut self.input)?.first() {
                None => return Ok(false),
                Some(b'\n') => self.parser.set_line(self.parser.line() + 1),
                Some(b'\r') => {}
                Some(_) => return Ok(true),
            }
            self.input.consume(1);
        }
    }

    fn fields(&self) -> Result<impl Iterator<Item = &str>, Invalid> {
        let ends = &self.ends[..self.count];
        let all = &self.output[..ends.last().copied().unwrap_or_default()];
        let all = std::str::from_utf8(all).map_err(not_utf8)?;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let fields = starts.zip(ends).map(|(start, &end)| all.get(start..end).ok_or(()));
        Ok(fields.collect::<Result<Vec<_>, _>>().map_err(not_utf8)?.into_iter())
    }
}

fn fill(input: &mut impl BufRead) -> io::Result<&[u8]> {
    // Two calls, because the borrow checker does not accept a loop that returns its own borrow.
    while let Err(error) = input.fill_buf() {
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    input.fill_buf()
}
