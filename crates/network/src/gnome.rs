//! The proxies of the GNOME desktop, and of those that keep its settings (Cinnamon, Budgie, Unity),
//! read by its own program `gsettings`.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use zeroize::Zeroizing;

use crate::no_proxy::NoProxy;
use crate::proxy::{Password, Proxy, ProxySettings, UnusedProxy};

/// Time that `gsettings` has for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Desktops that keep GNOME's settings, as in `XDG_CURRENT_DESKTOP`.
const DESKTOPS: [&str; 5] = ["GNOME", "Unity", "X-Cinnamon", "Budgie", "Pantheon"];
/// Schema of the settings; those of each protocol are below it.
const SCHEMA: &str = "org.gnome.system.proxy";

/// Reads the desktop's settings; `None` if this is another desktop, or none.
pub(crate) async fn settings() -> Option<ProxySettings> {
    let desktop = std::env::var("XDG_CURRENT_DESKTOP").ok()?;
    if !desktop.split(':').any(|name| DESKTOPS.contains(&name)) {
        return None;
    }
    let output = Command::new("gsettings")
        .args(["list-recursively", SCHEMA])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(ANSWER_TIMEOUT, output)
        .await
        .ok()?
        .ok()?;
    let text = Zeroizing::new(String::from_utf8(output.stdout).ok()?);
    parse(&text)
}

/// Parses the output of `gsettings list-recursively`: a schema, a key and a GVariant a line.
fn parse(text: &str) -> Option<ProxySettings> {
    let value = |schema: &str, key: &str| {
        text.lines().find_map(|line| {
            let rest = line.strip_prefix(SCHEMA)?.strip_prefix(schema)?;
            rest.strip_prefix(' ')?.strip_prefix(key)?.strip_prefix(' ')
        })
    };
    let string = |schema: &str, key: &str| {
        let value = value(schema, key)?;
        strings(value)
            .into_iter()
            .next()
            .filter(|text| !text.is_empty())
    };
    let unused = |unused| {
        Some(ProxySettings {
            source: "the desktop's settings".into(),
            unused: Some(unused),
            ..ProxySettings::default()
        })
    };
    match string("", "mode")?.as_str() {
        "manual" => {}
        "auto" => return unused(UnusedProxy::Script),
        _ => return None,
    }
    // 'Use the same proxy for all' writes HTTP's alone.
    let host = |schema: &str| Some((string(schema, "host")?, value(schema, "port")?.to_owned()));
    let Some((host, port)) = host(".https").or_else(|| host(".http")) else {
        string(".socks", "host")?;
        return unused(UnusedProxy::Scheme("SOCKS".into()));
    };
    let port = if port == "0" { "8080" } else { port.trim() };
    let Ok(mut proxy) = Proxy::parse(&format!("{host}:{port}")) else {
        return unused(UnusedProxy::Malformed);
    };
    if value(".http", "use-authentication") == Some("true")
        && let Some(user) = string(".http", "authentication-user")
    {
        let password = string(".http", "authentication-password").unwrap_or_default();
        proxy = proxy.with_user(user, Password::new(password));
    }
    let ignored = value("", "ignore-hosts").map(strings).unwrap_or_default();
    Some(ProxySettings {
        proxy: Some(proxy),
        no_proxy: NoProxy::from_entries(ignored.iter().map(String::as_str)),
        source: "the desktop's settings".into(),
        unused: None,
    })
}

/// Returns the strings of a GVariant in its text form: `'a'`, `"it's"`, `['a', 'b']`.
fn strings(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut characters = value.chars();
    while let Some(quote) = characters.find(|c| matches!(c, '\'' | '"')) {
        let mut text = String::new();
        while let Some(c) = characters.next().filter(|&c| c != quote) {
            match c {
                '\\' => text.extend(characters.next()),
                c => text.push(c),
            }
        }
        found.push(text);
    }
    found
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn output(mode: &str, https: &str, socks: &str) -> String {
        format!(
            "org.gnome.system.proxy autoconfig-url ''
org.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8', '::1', '*.intra.example']
org.gnome.system.proxy mode '{mode}'
org.gnome.system.proxy use-same-proxy true
org.gnome.system.proxy.ftp host ''
org.gnome.system.proxy.http authentication-password \"it's s3cret\"
org.gnome.system.proxy.http authentication-user 'aino'
org.gnome.system.proxy.http enabled false
org.gnome.system.proxy.http host 'proxy.example'
org.gnome.system.proxy.http port 3128
org.gnome.system.proxy.http use-authentication true
org.gnome.system.proxy.https host '{https}'
org.gnome.system.proxy.https port 8443
org.gnome.system.proxy.socks host '{socks}'
org.gnome.system.proxy.socks port 0
"
        )
    }

    #[test]
    fn a_proxy_set_by_hand_is_used() {
        let service = Url::parse("https://support.example").unwrap();
        let inside = Url::parse("https://a.intra.example").unwrap();
        let check = |https, expected: &str| {
            let settings = parse(&output("manual", https, "")).unwrap();
            let proxy = settings.proxy_for(&service).unwrap();
            assert_eq!(proxy.to_string(), expected);
            let (user, password) = proxy.user().unwrap();
            assert_eq!((user, password.expose()), ("aino", "it's s3cret"));
            assert_eq!(settings.proxy_for(&inside), None);
        };
        check("", "http://proxy.example:3128");
        check("secure.example", "http://secure.example:8443");
    }

    #[test]
    fn no_proxy_and_what_is_not_used() {
        assert_eq!(parse(&output("none", "", "")), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("No such schema 'org.gnome.system.proxy'"), None);
        let script = parse(&output("auto", "", "")).unwrap();
        assert_eq!(script.unused(), Some(&UnusedProxy::Script));
        let socks = output("manual", "", "socks.example").replace("'proxy.example'", "''");
        let socks = parse(&socks).unwrap();
        assert_eq!(socks.unused(), Some(&UnusedProxy::Scheme("SOCKS".into())));
    }
}
