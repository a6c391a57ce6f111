//! Input from people who aren't authenticated yet: codes, cards, revocation lists.

use etatuki_trust::{AgentCard, SignedRevocations, parse_password, parse_typed_code};

pub(crate) fn link_code(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let _ = parse_typed_code(text);
    if let Ok(secret) = parse_password(text) {
        assert!(secret.expose().bytes().all(|byte| byte.is_ascii_digit()));
    }
    if let Ok(card) = AgentCard::from_text(text) {
        let again = AgentCard::from_text(&card.to_text());
        assert_eq!(again.map(|card| card.hash()).ok(), Some(card.hash()));
    }
    if let Ok(list) = SignedRevocations::from_text(text) {
        assert!(SignedRevocations::from_text(&list.to_text()).is_ok());
    }
}
