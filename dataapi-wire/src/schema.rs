//! OpenAPI schemas of values whose types are in the domain.

use utoipa::ToSchema;

/// The id of a customer or a dialog: 1 to 255 bytes of UTF-8 without control characters, not `.` or `..`.
#[derive(Debug, ToSchema)]
#[schema(
    example = "d-1",
    min_length = 1,
    max_length = 255,
    pattern = r"^(?!\.{1,2}$)[^\u0000-\u001F\u007F-\u009F]+$"
)]
#[expect(dead_code, reason = "a schema alone: the domain has the type")]
pub struct Id(String);

/// A well-formed BCP 47 tag, or a range that ends in `-*`, such as `en-*`. Case does not matter.
#[derive(Debug, ToSchema)]
#[schema(example = "en-*", format = "bcp47-range", min_length = 1, max_length = 257)]
#[expect(dead_code, reason = "a schema alone: the domain has the type")]
pub struct LanguageTagOrRange(String);

/// A well-formed BCP 47 tag, such as `en` or `pt-BR`. Case does not matter.
#[derive(Debug, ToSchema)]
#[schema(example = "en", format = "bcp47", min_length = 1, max_length = 255)]
#[expect(dead_code, reason = "a schema alone: the domain has the type")]
pub struct LanguageTag(String);
