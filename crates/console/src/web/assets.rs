//! The page's files, embedded in the executable. `build.rs` builds them from `web/`.

use axum::{
    http::header,
    response::{Html, IntoResponse},
};
use etatuki_texts::{Language, catalogue::Catalogue};
use serde_json::{Value, json};

/// The place in `index.html` where the page's texts are put.
const TEXTS_PLACE: &str = "<!-- texts -->";

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/dist/", $name))
    };
}

/// Returns the page in a language. Its texts are in it as a block of data, which no browser runs.
pub(super) fn page(language: Language) -> Html<String> {
    let texts = texts(language).to_string().replace('<', "\\u003c");
    let block = format!("<script type=\"application/json\" id=\"texts\">{texts}</script>");
    let page = file!("index.html").replacen(TEXTS_PLACE, &block, 1);
    Html(in_language(&page, language))
}

/// Returns the page that is served with the cookie; it leads to the page itself.
/// It hands the page the secret of its sockets where no server is sent it; the secret has no
/// character that needs escaping.
pub(super) fn redeemed_page(language: Language, secret: &str) -> Html<String> {
    let texts = Catalogue::load(language);
    let open = texts.text("console.start.open");
    let page = format!("/#secret={secret}");
    short_page(
        language,
        &format!(r#"<meta http-equiv="refresh" content="0;url={page}">"#),
        open,
        &format!(r#"<h1><a href="{page}">{open}</a></h1>"#),
    )
}

/// Returns the page for requests without a cookie or a valid token.
pub(super) fn denied_page(language: Language) -> Html<String> {
    let texts = Catalogue::load(language);
    let title = texts.text("console.start.used");
    let more = texts.text("console.start.used-more");
    short_page(
        language,
        "",
        title,
        &format!("<h1>{title}</h1><p>{more}</p>"),
    )
}

fn short_page(language: Language, head: &str, title: &str, body: &str) -> Html<String> {
    let page = format!(
        r#"<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{head}<title>{title} · Etätuki</title><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/console.css"><main class="notice">{body}</main></html>"#
    );
    Html(in_language(&page, language))
}

fn in_language(page: &str, language: Language) -> String {
    page.replacen("lang=\"en\"", &format!("lang=\"{}\"", language.code()), 1)
}

/// Returns the page's own texts, and how the customer's windows label a code in each language.
fn texts(language: Language) -> Value {
    let own = Catalogue::load(language);
    let texts: serde_json::Map<_, _> = own
        .below("console.")
        .map(|(key, text)| (key.to_owned(), text.into()))
        .collect();
    let labels = Language::ALL.map(|language| {
        let theirs = Catalogue::load(language);
        let [id, password, code] = ["code.id", "code.password", "code.session-code"]
            .map(|key| theirs.text(key).to_owned());
        json!({"language": language.code(), "id": id, "password": password, "session_code": code})
    });
    json!({"language": language.code(), "texts": texts, "labels": labels})
}

pub(super) async fn script() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        file!("console.js"),
    )
}

pub(super) async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        file!("console.css"),
    )
}

pub(super) async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], file!("icon.svg"))
}

pub(super) async fn licences() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        file!("licences.txt"),
    )
}
