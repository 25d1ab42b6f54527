rows <- read.csv("/data/inputs/penguins/0")
write.csv(aggregate(mass ~ species, rows, mean), "/data/outputs/means.csv")
