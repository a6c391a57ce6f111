#!/usr/bin/python3
"""Writes the small Finnish demo book (demo.gnucash beside this file) with GnuCash's own library.

Run it again only to change the book: needs Debian's python3-gnucash. All names in it are made up."""
import datetime
import os
import sys

from gnucash import Account, GncNumeric, Session, SessionOpenMode, Split, Transaction
from gnucash.gnucash_core_c import (
    ACCT_TYPE_ASSET, ACCT_TYPE_BANK, ACCT_TYPE_CASH, ACCT_TYPE_EQUITY, ACCT_TYPE_EXPENSE, ACCT_TYPE_INCOME,
    ACCT_TYPE_LIABILITY)

TREE = {
    "Vastaavaa": (ACCT_TYPE_ASSET, {
        "1700 Myyntisaamiset": ACCT_TYPE_ASSET, "1900 Kassa": ACCT_TYPE_CASH, "1910 Pankkitili": ACCT_TYPE_BANK}),
    "Vastattavaa": (ACCT_TYPE_LIABILITY, {
        "2870 Ostovelat": ACCT_TYPE_LIABILITY, "2939 Arvonlisäverovelka": ACCT_TYPE_LIABILITY}),
    "Oma pääoma": (ACCT_TYPE_EQUITY, {"2000 Osakepääoma": ACCT_TYPE_EQUITY}),
    "Tulot": (ACCT_TYPE_INCOME, {"3000 Myynti": ACCT_TYPE_INCOME, "3020 Huoltotyöt": ACCT_TYPE_INCOME}),
    "Menot": (ACCT_TYPE_EXPENSE, {
        "4000 Ostot": ACCT_TYPE_EXPENSE, "7230 Toimitilavuokrat": ACCT_TYPE_EXPENSE,
        "7800 Matkakulut": ACCT_TYPE_EXPENSE, "8500 Puhelinkulut": ACCT_TYPE_EXPENSE,
        "8600 Toimistotarvikkeet": ACCT_TYPE_EXPENSE}),
}
# (day, text, euros, debit, credit); a year of a small workshop
ENTRIES = [(1, "Osakepääoma", 2500, "1910 Pankkitili", "2000 Osakepääoma"), (2, "Nosto kassaan", 200, "1900 Kassa", "1910 Pankkitili")]
for month in range(1, 11):
    at = month * 28
    ENTRIES += [
        (at, "Vuokra, Mäkelän Kiinteistöt", 640, "7230 Toimitilavuokrat", "1910 Pankkitili"),
        (at + 2, f"Lasku {1000 + month}, Pöyhönen Oy", 1180 + 35 * month, "1700 Myyntisaamiset", "3000 Myynti"),
        (at + 5, "Huoltokäynti, Järvisen Puutyö", 310 + 12 * month, "1910 Pankkitili", "3020 Huoltotyöt"),
        (at + 9, "Tukkutilaus, Länsirannikon Tarvike", 420 + 9 * month, "4000 Ostot", "2870 Ostovelat"),
        (at + 12, "Puhelin ja verkko", 54, "8500 Puhelinkulut", "1910 Pankkitili"),
        (at + 16, f"Maksu laskusta {1000 + month}", 1180 + 35 * month, "1910 Pankkitili", "1700 Myyntisaamiset"),
        (at + 18, "Kirjekuoria ja mustetta", 23, "8600 Toimistotarvikkeet", "1900 Kassa"),
    ]


def main(path):
    if os.path.exists(path):
        os.remove(path)
    session = Session("xml://" + path, SessionOpenMode.SESSION_NEW_STORE)
    book = session.book
    euro = book.get_table().lookup("CURRENCY", "EUR")
    accounts = {}

    def account(name, kind, parent):
        new = Account(book)
        parent.append_child(new)
        new.SetName(name)
        new.SetType(kind)
        new.SetCommodity(euro)
        accounts[name] = new
        return new

    for top, (kind, children) in TREE.items():
        parent = account(top, kind, book.get_root_account())
        parent.SetPlaceholder(True)
        for name, child in children.items():
            account(name, child, parent)
    for day, text, euros, debit, credit in ENTRIES:
        entry = Transaction(book)
        entry.BeginEdit()
        entry.SetCurrency(euro)
        entry.SetDatePostedSecsNormalized(datetime.datetime(2026, 1, 1) + datetime.timedelta(days=day - 1))
        entry.SetDescription(text)
        for name, sign in ((debit, 1), (credit, -1)):
            split = Split(book)
            split.SetParent(entry)
            split.SetAccount(accounts[name])
            split.SetValue(GncNumeric(sign * euros * 100, 100))
            split.SetAmount(GncNumeric(sign * euros * 100, 100))
        entry.CommitEdit()
    session.save()
    session.end()


main(os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "demo.gnucash")))
