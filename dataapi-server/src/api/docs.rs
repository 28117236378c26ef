//! `/docs`: a page to read about the API and try it. All its files are in the program.

use std::collections::HashMap;
use std::io::{Cursor, Read as _};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, Response, StatusCode};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;
use zip::result::ZipResult;

use crate::api::answer::{Answer, file};
use crate::problem::Problem;
use crate::ready_pages::Encoded;
use crate::request::Request;

/// Allows nothing from another host and no requests to one. The page sets styles inline and has its icons as `data:`
/// URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// Starts the page. The URL is relative, so that the page works under every prefix. The validator's badge is off,
/// because it would come from another host.
const INITIALIZER: &str = r##"window.onload = () => {
  window.ui = SwaggerUIBundle({
    "dom_id": "#swagger-ui",
    "url": "../openapi.json",
    "deepLinking": true,
    "displayRequestDuration": true,
    "layout": "StandaloneLayout",
    "presets": [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    "tryItOutEnabled": true,
    "validatorUrl": "none"
  });
};
"##;

/// The files of the page and their types. Swagger UI ships others, for other ways to embed it.
const FILES: [(&str, &str); 8] = [
    ("favicon-16x16.png", "image/png"),
    ("favicon-32x32.png", "image/png"),
    ("index.css", "text/css"),
    ("index.html", "text/html"),
    ("swagger-initializer.js", "text/javascript"),
    ("swagger-ui-bundle.js", "text/javascript"),
    ("swagger-ui-standalone-preset.js", "text/javascript"),
    ("swagger-ui.css", "text/css"),
];

/// A file of the page, with its type.
type File = (&'static str, (Bytes, Arc<Encoded>));

/// The files of the page, unpacked at the first request for one.
fn files() -> &'static HashMap<&'static str, File> {
    static UNPACKED: OnceLock<HashMap<&str, File>> = OnceLock::new();
    // The archive is part of the program, and a test reads each file.
    UNPACKED.get_or_init(|| unpack().unwrap_or_default())
}

fn unpack() -> ZipResult<HashMap<&'static str, File>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let names: Vec<_> =
        archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let mut files = HashMap::new();
    for (name, content_type) in FILES {
        let mut bytes = Vec::new();
        let is_asked_for = |path: &&String| {
            path.split_once('/').is_some_and(|(_, rest)| rest.strip_prefix("dist/") == Some(name))
        };
        if name == "swagger-initializer.js" {
            bytes.extend_from_slice(INITIALIZER.as_bytes());
        } else if let Some(path) = names.iter().find(is_asked_for) {
            archive.by_name(path)?.read_to_end(&mut bytes)?;
        }
        let encoded = Arc::new(Encoded::of_the_program());
        files.insert(name, (content_type, (bytes.into(), encoded)));
    }
    Ok(files)
}

/// Redirect to the page that shows the API
#[utoipa::path(
    get,
    path = "/docs",
    tag = "operations",
    operation_id = "docs",
    responses((status = 308, description = "The page is at `/docs/`", headers(("Location" = String, description = "The relative URL of the page"))))
)]
pub(crate) async fn docs_entrance(request: Request<'_>) -> Answer {
    let location = format!("{}/docs/", request.url_prefix());
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location.try_into().map_err(Problem::internal)?);
    Ok(response)
}

/// Read the page that shows the API
///
/// Serves the files of a web page that reads this description and sends requests. Nothing is loaded from another host.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "operations",
    operation_id = "docsFile",
    params(("file" = String, Path, description = "A file of the page; empty for the page itself")),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/html"),
            (String = "text/css"),
            (String = "text/javascript"),
            ("image/png"),
        )),
        (status = 404, description = "The page has no such file"),
    )
)]
pub(crate) async fn docs_file(request: Request<'_>) -> Answer {
    // An empty name is the page itself.
    let name = request.parameters[0].as_sent();
    let name = if name.is_empty() { "index.html" } else { name };
    let (content_type, bytes) = files().get(name).ok_or_else(Problem::no_such_route)?;
    let mut response = file(bytes, content_type);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
