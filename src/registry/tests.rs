//! One `check` per kind of error: a registry with one fault, and the sentence that the integrator
//! gets.

use super::*;
use etatuki_trust::VendorKey;

/// Returns a valid registry with two entries.
pub(crate) fn valid() -> String {
    format!(
        r#"[vendor]
name = "Ecom Oy"
phone = "02 276 7171"
keys = ["{}"]
[service]
url = "https://tuki.example:8443/"
[[backend]]
id = "one"
plugin = "libone.so"
version = ">=1.2, <2"
form = "ecom"
connect = "at-once"
order = 2
label = {{ fi = "Yksi", sv = "Ett", en = "One" }}
[[backend]]
id = "two"
plugin = "libtwo.so"
version = "*"
sha256 = "{}"
form = "remoteus"
for_app = "<2010"
order = 1
label = {{ fi = "Kaksi", sv = "Två", en = "Two" }}
[backend.options]
tool = "x11vnc"
paths = ["/usr/bin/x11vnc"]
"#,
        VendorKey::from_seed([7; 32]).public(),
        "0f".repeat(32),
    )
}

/// Checks that the valid registry with `from` replaced by `to` gives exactly this error.
fn check(from: &str, to: &str, expected: &str) {
    let text = valid();
    assert!(
        text.contains(from),
        "the registry of this test has no {from}"
    );
    let error = Registry::parse(&text.replacen(from, to, 1), "b.toml").unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn everything_is_read() {
    let registry = Registry::parse(&valid(), "b.toml").unwrap();
    assert_eq!(registry.language, None);
    assert_eq!(registry.vendor.name, "Ecom Oy");
    assert_eq!(registry.vendor.keys.len(), 1);
    assert_eq!(registry.service, "https://tuki.example:8443");
    let ids: Vec<_> = registry
        .backends
        .iter()
        .map(|backend| backend.id.as_str())
        .collect();
    assert_eq!(ids, ["two", "one"], "by their order");
    let two = registry.backend("two").unwrap();
    assert_eq!(two.label.in_language(Language::Sv), "Två");
    assert_eq!(two.sha256, Some([0x0f; 32]));
    assert_eq!(two.form, Some(CodeForm::SingleCode));
    assert_eq!(two.plugin_id, "two");
    assert_eq!(two.connect, Connect::OnClick);
    assert_eq!(registry.backend("one").unwrap().connect, Connect::AtOnce);
    assert_eq!(two.options["paths"][0], "/usr/bin/x11vnc");
    assert_eq!(
        two.lines,
        PluginLines {
            plugin: 17,
            version: 18,
            options: 24,
            form: 20,
        }
    );
    assert!(two.fits(&app_version("2008").unwrap()));
    assert!(!two.fits(&app_version("2010.1").unwrap()));
    assert!(
        registry
            .backend("one")
            .unwrap()
            .options
            .as_object()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_signing_key_is_one() {
    check(
        "form = \"ecom\"",
        "form = \"ecom\"\nminisign = \"RWx\"",
        "b.toml, line 12, key `backend.minisign`: this isn't a minisign public key; write the second line of the \
         signer's minisign.pub",
    );
}

#[test]
fn broken_toml() {
    check(
        "[service]",
        "[service",
        "b.toml, line 5, key `service`: unclosed table, expected `]`; correct this line \
         (docs/registry.md describes every key)",
    );
}

#[test]
fn unknown_and_missing_keys() {
    check(
        "phone =",
        "fone =",
        "b.toml, line 3, key `vendor.fone`: unknown field `fone`, expected one of `name`, `phone`, \
         `keys`, `stale_revocations`; remove the key or correct its name",
    );
    check(
        "plugin = \"libone.so\"\n",
        "",
        "b.toml, line 7, key `backend`: missing field `plugin`; add the key",
    );
    check(
        "sv = \"Två\", ",
        "",
        "b.toml, line 23, key `backend.label`: missing field `sv`; add the key",
    );
}

#[test]
fn ids() {
    check(
        "\"two\"",
        "\"one\"",
        "b.toml, line 16, key `backend.id`: the id `one` is used already in line 8; give every \
         backend an id of its own",
    );
    check(
        "\"two\"",
        "\"Kaksi!\"",
        "b.toml, line 16, key `backend.id`: this can't be an id; use 1 to 40 of a-z, 0-9 and -, \
         beginning with a letter or digit",
    );
}

#[test]
fn plugins() {
    let expected = "b.toml, line 9, key `backend.plugin`: this isn't the name of a file in the plugin \
                    folder; write the file name alone, such as \"libetatuki_ecom.so\"";
    for path in [
        "../libone.so",
        "/usr/lib/libone.so",
        "",
        ".hidden.so",
        "lib one.so",
    ] {
        check("libone.so", path, expected);
    }
    check(
        ">=1.2, <2",
        "about two",
        "b.toml, line 10, key `backend.version`: unexpected character 'a' while parsing major version \
         number; write a semver requirement such as \">=1.2, <2\"",
    );
    check(
        &"0f".repeat(32),
        "0f0f",
        "b.toml, line 19, key `backend.sha256`: this isn't a SHA-256; write the 64 hexadecimal digits \
         that `sha256sum` prints",
    );
    check(
        "\"remoteus\"",
        "\"letters\"",
        "b.toml, line 20, key `backend.form`: unknown variant `letters`, expected one of `remoteus`, `ecom`, `own`; \
         write \"ecom\", \"remoteus\" or \"own\"",
    );
}

#[test]
fn vendor() {
    check(
        "\"Ecom Oy\"",
        "\" \"",
        "b.toml, line 2, key `vendor.name`: the text is empty; write what the customer is to read",
    );
    check(
        "\"02 276 7171\"",
        "\"02\\n276\"",
        "b.toml, line 3, key `vendor.phone`: the text has a control character in it; write it on one \
         line, without escapes",
    );
    check(
        "\"Ecom Oy\"",
        &format!("\"{}\"", "x".repeat(81)),
        "b.toml, line 2, key `vendor.name`: the text is longer than 80 characters; shorten it",
    );
    let key = VendorKey::from_seed([7; 32]).public().to_string();
    check(
        &format!("\"{key}\""),
        "",
        "b.toml, line 4, key `vendor.keys`: there is no vendor key, so that no support person could be \
         recognised; add the public key that `etatuki-vendor key new` printed",
    );
    check(
        &key,
        &key[..20],
        "b.toml, line 4, key `vendor.keys`: the key is damaged: copy all of it again; copy the whole \
         public key that `etatuki-vendor key new` printed",
    );
}

#[test]
fn service_addresses() {
    let bad = "b.toml, line 6, key `service.url`: this isn't the address of a service; write \
               https://host or https://host:port and nothing after it";
    for url in [
        "tuki.example",
        "ftp://tuki.example",
        "https://tuki.example/v1",
        "https://me:secret@tuki.example",
        "https://tuki.example/?a=b",
    ] {
        check("https://tuki.example:8443/", url, bad);
    }
    check(
        "https://tuki.example:8443/",
        "http://tuki.example",
        "b.toml, line 6, key `service.url`: plain http is for this machine alone; write https://",
    );
    for url in [
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "http://[::1]:8080",
    ] {
        let text = valid().replace("https://tuki.example:8443/", url);
        assert_eq!(Registry::parse(&text, "b.toml").unwrap().service, url);
    }
}

#[test]
fn too_little_and_too_much() {
    let text = valid();
    let none = text.split("[[backend]]").next().unwrap();
    assert_eq!(
        Registry::parse(none, "b.toml").unwrap_err().to_string(),
        "b.toml, line 1, the whole file: there is no [[backend]] that is enabled; add one table per entry, as \
         docs/registry.md shows"
    );
    let huge = format!("{text}\n#{}", "x".repeat(MAX_BYTES));
    assert_eq!(
        Registry::parse(&huge, "b.toml").unwrap_err().problem,
        Problem::TooLarge
    );
    let entry = "[[backend]]\nid = \"ID\"\nplugin = \"p.so\"\nversion = \"*\"\nform = \"ecom\"\n\
                 label = { fi = \"a\", sv = \"b\", en = \"c\" }\n";
    let many: String = (0..40)
        .map(|n| entry.replace("ID", &format!("b{n}")))
        .collect();
    let error = Registry::parse(&format!("{none}{many}"), "b.toml").unwrap_err();
    assert_eq!(error.problem, Problem::TooManyBackends);
}

#[test]
fn the_language_may_be_fixed() {
    let text = format!("language = \"sv\"\n{}", valid());
    assert_eq!(
        Registry::parse(&text, "b.toml").unwrap().language,
        Some(Language::Sv)
    );
    let error = Registry::parse(&text.replace("\"sv\"\n", "\"se\"\n"), "b.toml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "b.toml, line 1, key `language`: unknown variant `se`, expected one of `fi`, `sv`, `en`; write \
         \"fi\", \"sv\" or \"en\", or leave the key out"
    );
}

#[test]
fn old_programs_count_in_their_own_way() {
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(
            app_version(text)
                .map(|version| version.to_string())
                .as_deref(),
            expected
        );
    };
    check("4.13.1", Some("4.13.1"));
    check("4.13", Some("4.13.0"));
    check("2008", Some("2008.0.0"));
    check("2.0-beta", Some("2.0.0"));
    check("1.2.3.4", Some("1.2.3"));
    check("4.13 (build 1)", Some("4.13.0"));
    check("", None);
    check("newest", None);
    check("99999999999999999999999", None);
}

#[test]
fn one_library_may_serve_several_entries() {
    let tool = |id: &str| format!("form = \"own\"\nplugin_id = \"{id}\"");
    let read = |text: &str| Registry::parse(&valid().replace("form = \"ecom\"", text), "b.toml");
    let registry = read(&tool("own-tool")).unwrap();
    let one = registry.backend("one").unwrap();
    assert_eq!(one.plugin_id, "own-tool");
    assert_eq!(one.form, None);
    let error = read(&tool("Own Tool")).unwrap_err();
    assert_eq!((error.line, error.problem), (12, Problem::BadId));
}

#[test]
fn what_is_switched_off_is_checked_and_not_shown() {
    let read = |from: &str, to: &str| Registry::parse(&valid().replace(from, to), "b.toml");
    let registry = read("form = \"ecom\"", "form = \"ecom\"\nenabled = false").unwrap();
    let ids: Vec<_> = registry.backends.iter().map(|it| &it.id).collect();
    assert_eq!(ids, ["two"]);
    let broken = read(
        "plugin = \"libone.so\"",
        "plugin = \"/libone.so\"\nenabled = false",
    );
    assert_eq!(broken.unwrap_err().problem, Problem::PluginName);
    let none = read("form = ", "enabled = false\nform = ");
    assert_eq!(none.unwrap_err().problem, Problem::NoBackends);
}

/// The registry in the tree is complete but for the vendor's own key.
#[test]
fn what_ships_lacks_the_vendors_key_alone() {
    let text = include_str!("../../backends.toml");
    let error = Registry::parse(text, "backends.toml").unwrap_err();
    assert_eq!(error.problem, Problem::NoVendorKey);
    let key = VendorKey::from_seed([7; 32]).public();
    let filled = text.replacen("keys = []", &format!("keys = [\"{key}\"]"), 1);
    let registry = Registry::parse(&filled, "backends.toml").unwrap();
    let ids: Vec<_> = registry
        .backends
        .iter()
        .map(|backend| backend.id.as_str())
        .collect();
    assert_eq!(ids, ["ecom", "remoteus-2008", "remoteus-2010"]);
}
