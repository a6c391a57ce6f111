//! A look at the service without a session, for `etatuki doctor`.

use std::time::{SystemTime, UNIX_EPOCH};

use etatuki_network::is_loopback;
use etatuki_session_core::Failure;
use reqwest::Url;

use crate::service_client::{self, ServiceClient};

/// The state of the service as this machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceReport {
    /// Seconds by which this machine's clock is ahead of the service's; negative if it is behind,
    /// `None` if the service doesn't tell its time.
    pub clock_ahead: Option<i64>,
}

/// Asks the service at `url` for something that needs no session. Takes at most 12 seconds.
///
/// # Errors
/// The failure that a session would have.
pub async fn check_service(url: &str) -> Result<ServiceReport, Failure> {
    let client = ServiceClient::new(url, service_client::network().await?)?;
    client.revocations().await?;
    let ours = SystemTime::now().duration_since(UNIX_EPOCH);
    let ours = ours.map_or(0, |since| since.as_secs());
    Ok(ServiceReport {
        clock_ahead: client
            .time()
            .and_then(|theirs| i64::try_from(ours).ok()?.checked_sub_unsigned(theirs.0)),
    })
}

/// Returns the proxy setting of this machine for the service at `url` in words, and whether it is
/// used. Contacts nobody.
pub async fn describe_proxy(url: &str) -> (String, bool) {
    match (Url::parse(url), service_client::network().await) {
        (Ok(url), Ok(network)) if is_loopback(&url) => {
            let (words, used) = network.proxies().in_words(&url);
            (format!("{words}; this machine itself needs none"), used)
        }
        (Ok(url), Ok(network)) => network.proxies().in_words(&url),
        _ => ("the settings can't be read".into(), false),
    }
}
