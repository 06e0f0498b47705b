"""Seeded records of our own making: the number formats and list structures that running prose rarely shows."""

import random
from collections.abc import Iterator
from datetime import date, timedelta

from mistudio.extract.corpus import Document

ITEMS = ("copper wire", "oak table", "winter coat", "lens cap", "seed potatoes", "garden hose", "notebook", "bicycle tire",
         "desk lamp", "olive oil", "roof tile", "piano stool", "tent poles", "steel bolts", "coffee beans", "wool blanket")
PLACES = ("Lisbon", "Osaka", "Denver", "Nairobi", "Leeds", "Quito", "Hanoi", "Bergen", "Austin", "Perth", "Lyon", "Cairo")
NAMES = ("Maria Lopez", "John Carter", "Aiko Tanaka", "Peter Novak", "Ruth Adler", "Omar Haddad", "Lena Fischer",
         "Samuel Okoro", "Grace Kim", "Ivan Petrov", "Clara Rossi", "David Owen")
SUBJECTS = ("patients", "samples", "households", "mice", "cells", "students", "plots", "reactors")
FINDINGS = ("blood pressure", "yield", "mean temperature", "tumor volume", "reading score", "soil nitrogen", "dose", "pH")
DRUGS = ("aspirin", "metformin", "insulin", "ibuprofen", "amoxicillin", "warfarin", "heparin", "morphine")


def record_documents(count: int = 3600, seed: int = 7) -> Iterator[Document]:
    """``count`` short documents: invoices, timetables, lists, recipes, notes, tables, and reports with figures."""
    makers = (_invoice, _timetable, _steps, _study, _statement, _chart, _league, _sums, _ward, _letter)
    for number in range(count):
        random_ = random.Random(seed * 1_000_003 + number)
        maker = makers[number % len(makers)]
        yield Document(f"records/{maker.__name__}{number}", "\n".join(maker(random_)) + "\n", "records")


def _day(r: random.Random) -> str:
    day = date(1985, 1, 1) + timedelta(days=r.randrange(15_000))
    return r.choice((day.isoformat(), f"{day:%d/%m/%Y}", f"{day:%B} {day.day}, {day.year}", f"{day.day} {day:%b} {day.year}"))


def _price(r: random.Random, top: int = 2000) -> str:
    amount = r.randrange(100, top * 100) / 100
    return r.choice((f"${amount:,.2f}", f"€{amount:,.2f}", f"£{amount:,.2f}", f"{amount:,.2f} USD", f"${amount:,.0f}"))


def _invoice(r: random.Random) -> list[str]:
    lines = [f"Invoice No. {r.randrange(1000, 99999)}", f"Date: {_day(r)}", f"Bill to: {r.choice(NAMES)}, {r.choice(PLACES)}", ""]
    for number in range(1, r.randrange(5, 10)):
        lines.append(f"{number}. {r.randrange(1, 40)} x {r.choice(ITEMS)} at {_price(r, 300)} each")
    lines += ["", f"Subtotal: {_price(r)}", f"Discount ({r.randrange(2, 30)}%): {_price(r, 90)}",
              f"Sales tax ({r.randrange(4, 12)}.{r.randrange(10)}%): {_price(r, 200)}", f"Total due by {_day(r)}: {_price(r)}"]
    return lines


def _timetable(r: random.Random) -> list[str]:
    lines = [f"Departures from {r.choice(PLACES)}, {_day(r)}", "", "| Time | Train | To | Platform |", "|---|---|---|---|"]
    for _ in range(r.randrange(8, 16)):
        time = r.choice((f"{r.randrange(24):02}:{r.randrange(60):02}", f"{r.randrange(1, 13)}:{r.randrange(60):02} {r.choice(('am', 'pm'))}"))
        lines.append(f"| {time} | IC {r.randrange(100, 999)} | {r.choice(PLACES)} | {r.randrange(1, 20)} |")
    return lines


def _steps(r: random.Random) -> list[str]:
    verbs = ("Measure", "Cut", "Rinse", "Heat", "Fold", "Mix", "Drill", "Sand", "Paint", "Label", "Weigh", "Dry")
    mark = r.choice(("{}.", "{})", "-", "*", "- [ ]", "Step {}:"))
    lines = [f"# How to prepare the {r.choice(ITEMS)}", "", f"Time needed: {r.randrange(5, 90)} minutes.", ""]
    for number in range(1, r.randrange(7, 13)):
        amount = r.choice((f"{r.randrange(2, 500)} g", f"{r.randrange(1, 9)}/{r.randrange(2, 9)} cup", f"{r.randrange(20, 250)} °C",
                           f"{r.randrange(1, 90)} minutes", f"{r.randrange(1, 60)}.{r.randrange(10)} cm", f"{r.randrange(1, 12)} inches"))
        lines.append(f"{mark.format(number)} {r.choice(verbs)} the {r.choice(ITEMS)} for {amount}.")
    return lines


def _study(r: random.Random) -> list[str]:
    subject, finding = r.choice(SUBJECTS), r.choice(FINDINGS)
    low = r.uniform(0.1, 3)
    return [f"Abstract. We followed {r.randrange(20, 4000):,} {subject} between {_day(r)} and {_day(r)}.",
            f"The {finding} rose by {r.randrange(1, 60)}.{r.randrange(10)}% (95% CI {low:.2f}-{low + r.uniform(0.1, 2):.2f}; p < 0.0{r.randrange(1, 6)}).",
            f"Results: in group A (n = {r.randrange(10, 400)}) the {finding} was {r.uniform(0, 90):.2f} ± {r.uniform(0, 9):.2f}; "
            f"in group B (n = {r.randrange(10, 400)}) it was {r.uniform(0, 90):.2f} ± {r.uniform(0, 9):.2f} [{r.randrange(1, 60)}].",
            f"Conclusion: {subject} with a higher {finding} were {r.uniform(1, 5):.1f} times as likely to recover (see Fig. {r.randrange(1, 9)}, Table {r.randrange(1, 6)})."]


def _statement(r: random.Random) -> list[str]:
    lines = [f"Account statement for {r.choice(NAMES)}, {_day(r)}", ""]
    for _ in range(r.randrange(8, 14)):
        lines.append(f"{_day(r)}\t{r.choice(('deposit', 'withdrawal', 'card payment', 'interest', 'transfer'))}\t{r.choice('+-')}{_price(r, 900)}")
    return [*lines, f"Interest rate: {r.uniform(0, 9):.2f}% a year. Balance: {_price(r, 20000)}"]


def _chart(r: random.Random) -> list[str]:
    rows = [f"{r.choice(PLACES)},{r.randrange(1950, 2025)},{r.uniform(-20, 40):.1f},{r.randrange(10, 99)}%,{r.randrange(1000, 9_000_000)}"
            for _ in range(r.randrange(10, 18))]
    return ["city,year,temperature_c,humidity,population", *rows]


def _league(r: random.Random) -> list[str]:
    games = [f"{r.choice(PLACES)} {r.randrange(6)}-{r.randrange(6)} {r.choice(PLACES)} (attendance {r.randrange(900, 80000):,})"
             for _ in range(r.randrange(6, 10))]
    return [f"Results of week {r.randrange(1, 40)}, {_day(r)}:", *games,
            f"Quick numbers: {r.randrange(1, 99)}th win, up {r.randrange(1, 40)} per cent; {r.randrange(2, 30)} of {r.randrange(31, 60)} shots on goal."]


def _sums(r: random.Random) -> list[str]:
    lines = [f"Exercise {r.randrange(1, 30)}. Work out each sum and show the steps.", ""]
    for number in range(1, r.randrange(7, 12)):
        a, b = r.randrange(2, 900), r.randrange(2, 90)
        lines.append(r.choice((f"({number}) {a} + {b} = {a + b}", f"({number}) {a} × {b} = {a * b}", f"({number}) {a} - {b} = {a - b}",
                               f"({number}) {a} / {b} ≈ {a / b:.3f}", f"({number}) sqrt({a}) ≈ {a ** 0.5:.4f}", f"({number}) {b}% of {a} is {a * b / 100:g}")))
    return lines


def _ward(r: random.Random) -> list[str]:
    return [f"Patient: {r.choice(NAMES)}, aged {r.randrange(18, 95)}. Admitted {_day(r)} with chest pain and fever of {r.uniform(37, 41):.1f} °C.",
            f"Blood pressure {r.randrange(90, 180)}/{r.randrange(50, 110)} mmHg, pulse {r.randrange(50, 140)} bpm, oxygen saturation {r.randrange(85, 100)}%.",
            f"Given {r.choice(DRUGS)} {r.randrange(5, 500)} mg twice daily and {r.choice(DRUGS)} {r.uniform(0.1, 9):.1f} mL by injection.",
            f"Diagnosis: acute infection; the symptoms improved after {r.randrange(2, 14)} days of treatment. Discharged on {_day(r)}."]


def _letter(r: random.Random) -> list[str]:
    who, other = r.choice(NAMES), r.choice(NAMES)
    return [f"{r.randrange(1, 400)} Mill Street, {r.choice(PLACES)} {r.randrange(10000, 99999)}", _day(r), "", f"Dear {who},", "",
            f'"Did you pay {_price(r)} for the {r.choice(ITEMS)}?" asked {other}. "No," I said, "it was only {_price(r, 90)}!"',
            f"Please call +1 ({r.randrange(200, 999)}) {r.randrange(200, 999)}-{r.randrange(1000, 9999)} before {r.randrange(1, 12)}:{r.randrange(10, 59)} p.m., "
            f"or write to {other.split()[0].lower()}@example.com.", "", f"Yours sincerely, {other}"]
