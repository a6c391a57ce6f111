//! The canonical form of a service's URL, so that agent and service sign and verify the same text.

use url::{Host, Position, Url};

/// The most bytes of a service's URL.
const MAX_URL: usize = 512;

/// The most relays that a session names and that both ends follow.
pub const MAX_RELAYS: usize = 4;

/// A text that isn't a service's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a service's URL is http:// or https://, a host, and a port if need be, and nothing after it"
)]
pub struct OriginError;

/// Returns the origin (RFC 6454) of a service's URL: `scheme://host:port`, always with the port,
/// without a slash at the end, with the host in lower case and in its ASCII form.
///
/// # Errors
/// The URL isn't http or https, or has a user, a path, a query or a fragment.
pub fn service_origin(url: &str) -> Result<String, OriginError> {
    if url.len() > MAX_URL {
        return Err(OriginError);
    }
    let url = Url::parse(url).map_err(|_| OriginError)?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    let bare = matches!(&url[Position::BeforePath..], "" | "/");
    if !matches!(url.scheme(), "http" | "https") || !anonymous || !bare {
        return Err(OriginError);
    }
    let host = url.host_str().ok_or(OriginError)?;
    let port = url.port_or_known_default().ok_or(OriginError)?;
    Ok(format!("{}://{host}:{port}", url.scheme()))
}

/// Returns whether `url` is an URL (as for [`service_origin`]) of the service at `origin` or of a part
/// of it: the scheme is the same, and the host is the service's or below it; the port may be any.
#[must_use]
pub fn is_part_of_service(url: &str, origin: &str) -> bool {
    let (Ok(part), Ok(service)) = (service_origin(url), service_origin(origin)) else {
        return false;
    };
    let (Ok(part), Ok(service)) = (Url::parse(&part), Url::parse(&service)) else {
        return false;
    };
    let is_below = match (part.host(), service.host()) {
        (Some(Host::Domain(part)), Some(Host::Domain(service))) => part
            .strip_suffix(service)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        (part, service) => part == service,
    };
    is_below && part.scheme() == service.scheme()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        assert_eq!(service_origin(url).as_deref(), Ok(expected));
    }

    #[test]
    fn a_part_of_a_service_has_its_name_or_one_below() {
        let check = |url, origin, expected| {
            assert_eq!(is_part_of_service(url, origin), expected, "{url} {origin}");
        };
        let service = "https://tuki.example:443";
        for part in [
            "https://tuki.example",
            "https://tuki.example:8443",
            "https://R1.tuki.example",
            "https://r1.fi.tuki.example:8443/",
        ] {
            check(part, service, true);
        }
        for other in [
            "http://tuki.example",
            "https://example",
            "https://etuki.example",
            "https://tuki.example.evil.example",
            "https://r1.tuki.example@evil.example",
            "https://r1.tuki.example/path",
            "tuki.example",
        ] {
            check(other, service, false);
        }
        check("http://127.0.0.1:1", "http://127.0.0.1:2", true);
        check("http://[::1]:1", "http://[::1]:2", true);
        check("http://127.0.0.2:1", "http://127.0.0.1:2", false);
        check("http://1.127.0.0.1:1", "http://127.0.0.1:2", false);
    }

    #[test]
    fn one_service_has_one_origin() {
        check("https://Tuki.Example", "https://tuki.example:443");
        check("https://tuki.example:443/", "https://tuki.example:443");
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080");
        check("http://[::1]:80/", "http://[::1]:80");
        check(" http://localhost ", "http://localhost:80");
    }

    #[test]
    fn anything_more_is_refused() {
        let long = format!("http://{}", "a".repeat(600));
        let bad = [
            "",
            "tuki.example",
            "ftp://tuki.example",
            "https://tuki.example/v1",
            "https://tuki.example/?a",
            "https://tuki.example/#a",
            "https://me@tuki.example",
            "https://:pw@tuki.example",
            "https://",
            "file:///etc/passwd",
            &long,
        ];
        for url in bad {
            assert_eq!(service_origin(url), Err(OriginError), "{url}");
        }
    }

    proptest! {
        #[test]
        fn an_origin_is_its_own_origin(text in "[ -~]{0,40}") {
            if let Ok(origin) = service_origin(&format!("https://{text}")) {
                let again = service_origin(&origin);
                prop_assert_eq!(again.as_deref(), Ok(origin.as_str()));
            }
        }
    }
}
