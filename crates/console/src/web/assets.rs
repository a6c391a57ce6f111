//! The page's files, embedded in the executable. `build.rs` builds them from `web/`.

use axum::{
    http::header,
    response::{Html, IntoResponse},
};

/// The page that is served with the cookie; it leads to the page itself.
pub(super) const REDEEMED_PAGE: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>Etätuki console</title><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/console.css"><p class="notice"><a href="/">Open the console</a></p></html>"#;

/// The page for requests without a cookie or a valid token.
pub(super) const DENIED_PAGE: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Etätuki console</title><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/console.css"><div class="notice" role="alert"><h1>This address has been used</h1><p>Each address of the console opens once, in one browser. Close the console program and start it again; it prints a new one.</p></div></html>"#;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/dist/", $name))
    };
}

pub(super) fn page() -> impl IntoResponse {
    Html(file!("index.html"))
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
