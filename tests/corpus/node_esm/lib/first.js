export const pick = rows => rows[0];
