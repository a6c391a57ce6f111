//! The vendor's name and phone number in a registry that can't be used as a whole: the customer is
//! told whom to call all the same.

use serde::Deserialize;

use super::MAX_TEXT;

/// The vendor's name and phone number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VendorContact {
    /// The vendor's name.
    pub name: String,
    /// The number to call.
    pub phone: String,
}

impl VendorContact {
    /// Finds the section `[vendor]` in a registry's text, however wrong the rest of it is. The text
    /// must come from a place that is trusted.
    pub(super) fn find(text: &str) -> Option<Self> {
        let mut lines = text
            .lines()
            .skip_while(|line| line.trim() != "[vendor]")
            .skip(1);
        let section = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with('['));
        // Line by line: a mistake in one key mustn't hide the others.
        let pairs = section.filter_map(|line| line.parse::<toml::Table>().ok());
        let mut table = toml::Table::new();
        pairs.for_each(|pair| table.extend(pair));
        let contact: Self = table.try_into().ok()?;
        let is_plain = |text: &String| {
            !text.trim().is_empty()
                && text.chars().count() <= MAX_TEXT
                && !text.chars().any(char::is_control)
        };
        let are_plain = is_plain(&contact.name) && is_plain(&contact.phone);
        are_plain.then_some(contact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = VendorContact::find(text);
        let found = found
            .as_ref()
            .map(|vendor| (vendor.name.as_str(), vendor.phone.as_str()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_number_is_found_in_a_broken_registry() {
        let vendor = "[vendor]\nname = \"Ecom\"\nkeys = [\"etv1-broken\nphone = \"02-2767 171\"\n";
        let expected = Some(("Ecom", "02-2767 171"));
        check(vendor, expected);
        check(
            &format!("service = 1\n{vendor}[[backend]]\nid = \n"),
            expected,
        );
        check(
            "[vendor]\nname = \"Ecom\"\n[[backend]]\nphone = \"1\"\n",
            None,
        );
        check("[vendor]\nname = \"Ecom\"\nphone = 1\n", None);
        check("name = \"Ecom\"\nphone = \"1\"\n", None);
    }
}
