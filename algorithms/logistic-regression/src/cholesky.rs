//! Cholesky decomposition, for equations with a symmetric positive definite matrix.

/// The lower triangle L of A = L Lᵀ, row-major.
#[derive(Debug)]
pub struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// `None` if the matrix is not positive definite, or so close to it that the solution would be noise.
    pub fn new(matrix: &[f64], size: usize) -> Option<Self> {
        let mut lower = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let (a, b) = (&lower[row * size..][..column], &lower[column * size..][..column]);
                let rest = matrix[row * size + column] - a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                lower[row * size + column] = if column < row {
                    rest / lower[column * size + column]
                } else if rest > 1e-10 * matrix[row * size + row] {
                    rest.sqrt()
                } else {
                    return None;
                };
            }
        }
        Some(Self { size, lower })
    }

    /// Solves A x = b.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let (n, at) = (self.size, |row: usize, column: usize| self.lower[row * self.size + column]);
        let mut x = b.to_vec();
        for row in 0..n {
            let known: f64 = (0..row).map(|column| at(row, column) * x[column]).sum();
            x[row] = (x[row] - known) / at(row, row);
        }
        for row in (0..n).rev() {
            let known: f64 = (row + 1..n).map(|below| at(below, row) * x[below]).sum();
            x[row] = (x[row] - known) / at(row, row);
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves() {
        let x = Cholesky::new(&[4.0, 2.0, 2.0, 3.0], 2).unwrap().solve(&[10.0, 8.0]);
        assert!((x[0] - 1.75).abs() < 1e-14 && (x[1] - 1.5).abs() < 1e-14, "{x:?}");
    }

    #[test]
    fn refuses_dependent_columns() {
        assert!(Cholesky::new(&[1.0, 1.0, 1.0, 1.0], 2).is_none());
        assert!(Cholesky::new(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::new(&[f64::NAN], 1).is_none());
    }
}
