//! Line ends of clipboard text: LF on the link and in RFB (RFC 6143 sections 7.5.6 and 7.6.4),
//! whatever an agent's or a tool's system uses.

/// Returns the text with one LF for each CRLF, CR and LF.
pub(super) fn with_lf(text: String) -> String {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    }
}
