//! An ending: one end's signed word that the session is over, for the other end of an interrupted
//! link.
//!
//! It goes through the service, which can withhold it, and can neither make nor change it: it is
//! signed by the key of the endpoint that leaves, over both endpoint ids, the nameplate and the
//! reason. Each endpoint id is one session's, so no ending fits another session.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use iroh::{PublicKey, SecretKey, Signature};

use crate::{
    keys::Transcript,
    pake::{Parties, Role},
};

/// The longest reason, in bytes.
const MAX_REASON: usize = 40;

/// The link that an ending is for, as both ends know it.
#[derive(Clone, Debug)]
pub struct EndedLink {
    parties: Parties,
    /// The role of this end.
    role: Role,
}

impl EndedLink {
    pub(crate) const fn new(parties: Parties, role: Role) -> Self {
        Self { parties, role }
    }

    /// Returns the other end's endpoint id, in the service's form.
    #[must_use]
    pub fn peer(&self) -> String {
        let hex = |byte: &u8| format!("{byte:02x}");
        self.id(self.role.other()).iter().map(hex).collect()
    }

    /// Signs that this end leaves. `reason` is a stable name.
    pub(crate) fn sign(&self, key: &SecretKey, reason: &str) -> String {
        let reason: String = reason.chars().filter(is_plain).take(MAX_REASON).collect();
        let signature = key.sign(self.transcript(self.role, &reason).as_bytes());
        format!("{reason}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Returns the reason in an ending of the other end's; `None` for any other text.
    #[must_use]
    pub fn read(&self, ending: &str) -> Option<String> {
        let (reason, signature) = ending.split_once('.')?;
        if reason.len() > MAX_REASON || !reason.chars().all(|character| is_plain(&character)) {
            return None;
        }
        let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        let peer = self.role.other();
        let key = PublicKey::from_bytes(self.id(peer)).ok()?;
        let transcript = self.transcript(peer, reason);
        let signature = Signature::from_bytes(&signature);
        key.verify(transcript.as_bytes(), &signature).ok()?;
        Some(reason.to_owned())
    }

    const fn id(&self, role: Role) -> &[u8; 32] {
        match role {
            Role::Agent => &self.parties.agent,
            Role::Customer => &self.parties.customer,
        }
    }

    fn transcript(&self, leaving: Role, reason: &str) -> Transcript {
        Transcript::ended(&self.parties, self.id(leaving), reason)
    }
}

const fn is_plain(character: &char) -> bool {
    character.is_ascii_lowercase() || *character == '-'
}

#[cfg(test)]
mod tests {
    use etatuki_trust::{CodeForm, Nameplate};

    use super::*;

    fn key(number: u8) -> SecretKey {
        SecretKey::from_bytes(&[number; 32])
    }

    fn parties(nameplate: &str) -> Parties {
        Parties {
            agent: *key(1).public().as_bytes(),
            customer: *key(2).public().as_bytes(),
            nameplate: Nameplate::new(CodeForm::IdAndPassword, nameplate).unwrap(),
        }
    }

    #[test]
    fn an_ending_is_of_one_end_one_link_and_one_reason() {
        let agent = EndedLink::new(parties("12345678"), Role::Agent);
        let customer = EndedLink::new(parties("12345678"), Role::Customer);
        assert_eq!(agent.peer(), key(2).public().to_string());
        let ending = customer.sign(&key(2), "closed");
        assert_eq!(agent.read(&ending).as_deref(), Some("closed"));
        let check = |wrong: &str| assert_eq!(agent.read(wrong), None, "{wrong}");
        check(&ending.replace("closed", "switch"));
        check(&ending[..ending.len() - 1]);
        check(&format!("{ending}A"));
        check("closed.");
        check("closed");
        check("");
        // By the agent's end itself, by anybody else, and for another session.
        check(&agent.sign(&key(1), "closed"));
        check(&customer.sign(&key(3), "closed"));
        let another = EndedLink::new(parties("12345679"), Role::Customer);
        check(&another.sign(&key(2), "closed"));
        let words = customer.sign(&key(2), "Call 0900!");
        assert_eq!(agent.read(&words).as_deref(), Some("all"));
    }
}
