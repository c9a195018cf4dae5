//! Tables for people: columns as wide as what stands in them, numbers to the right.

/// Characters of one cell that are shown; foreign texts can be of any length.
const WIDEST: usize = 100;

/// A table under way.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    head: &'static str,
    /// Whether its cells stand at the right.
    number: bool,
}

impl Table {
    /// A table with these columns. A head that begins with `>` is that of numbers.
    pub fn new(heads: &[&'static str]) -> Self {
        let column = |head: &&'static str| {
            let bare = head.strip_prefix('>');
            Column { head: bare.unwrap_or(head), number: bare.is_some() }
        };
        Self { columns: heads.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells that are missing are empty, and those too many are left out. What would move a terminal's
    /// cursor is shown as a space.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let mut row: Vec<String> =
            cells.into_iter().take(self.columns.len()).map(|cell| shown(&cell.into())).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The whole, each line ended.
    pub fn render(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|column| column.head.to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&heads).chain(&self.rows).collect();
        let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut page = String::new();
        for line in lines {
            let mut text = String::new();
            for ((cell, column), width) in line.iter().zip(&self.columns).zip(&widths) {
                let pad = " ".repeat(width - cell.chars().count());
                let [before, after] = if column.number { [&*pad, ""] } else { ["", &*pad] };
                text.extend([before, cell, after, "  "]);
            }
            page.push_str(text.trim_end());
            page.push('\n');
        }
        page
    }
}

/// A foreign text on one line, without what a terminal would obey, cut to size.
pub fn shown(text: &str) -> String {
    let mut cut: String = plain(text).chars().take(WIDEST).collect();
    if text.chars().nth(WIDEST).is_some() {
        cut.push('…');
    }
    cut
}

/// A foreign text on one line, without what a terminal would obey.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", ">count", "note"]);
        assert!(table.is_empty());
        table.row(["a", "1", "x"]);
        table.row(["länger", "1234567"]);
        table.row(["evil\u{1b}[2J", "0", "y", "too many"]);
        assert_eq!(
            table.render(),
            "name        count  note\n\
             a               1  x\n\
             länger    1234567\n\
             evil [2J        0  y\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_cell_is_too_odd(cells in proptest::collection::vec(".{0,120}", 0..5)) {
            let mut table = Table::new(&["a", ">b", "c"]);
            table.row(cells);
            let page = table.render();
            assert_eq!(page.lines().count(), 2, "{page}");
            assert!(!page.contains(|letter: char| letter.is_control() && letter != '\n'));
        }
    }
}
