//! Names and times of a certificate.

use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    pem::Pem,
};

use crate::config::{StartError, TlsFiles};

/// The part of a certificate that an operator watches.
pub(crate) struct CertificateFacts {
    /// Validity, in seconds since 1970.
    pub(crate) begins: u64,
    pub(crate) ends: u64,
    names: Vec<String>,
}

impl CertificateFacts {
    /// Reads the first certificate of the chain.
    ///
    /// # Errors
    /// [`StartError::Certificate`].
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, StartError> {
        let bad = |reason: String| StartError::Certificate {
            path: files.certificate.clone(),
            reason,
        };
        let text = std::fs::read(&files.certificate).map_err(|error| bad(error.to_string()))?;
        let first = Pem::iter_from_buffer(&text).next();
        let pem = first
            .ok_or_else(|| bad("it holds no certificate".into()))?
            .map_err(|error| bad(error.to_string()))?;
        let parsed = pem.parse_x509().map_err(|error| bad(error.to_string()))?;
        let seconds =
            |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let extensions = parsed.extensions().iter();
        let names = extensions.filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        Ok(Self {
            begins: seconds(parsed.validity().not_before),
            ends: seconds(parsed.validity().not_after),
            names: names.flatten().filter_map(name_of).collect(),
        })
    }

    /// Returns whether one of the names is this host's; a wildcard stands for one label (RFC 9525,
    /// section 6.3).
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => name.eq_ignore_ascii_case(host),
        })
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(Ipv4Addr::from(bytes).to_string()),
            Err(_) => {
                let bytes: [u8; 16] = (*bytes).try_into().ok()?;
                Some(Ipv6Addr::from(bytes).to_string())
            }
        },
        _ => None,
    }
}
