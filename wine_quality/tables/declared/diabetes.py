"""How far diabetes gets in a year."""

from wine_quality.tables.dataset import SAMPLES, Column, Dataset, Task

DATASET = Dataset(
    name="diabetes",
    columns=(
        Column("age", "int", 0, 120, "years"),
        Column("sex", "int", 1, 2, description="Coded, as published"),
        Column("bmi", "float", 10, 80, "kg/m²", "Body mass index"),
        Column("bp", "float", 30, 250, "mmHg", "Average blood pressure"),
        Column("s1", "float", 0, 1000, "mg/dl", "Total serum cholesterol"),
        Column("s2", "float", 0, 1000, "mg/dl", "Low-density lipoproteins"),
        Column("s3", "float", 0, 500, "mg/dl", "High-density lipoproteins"),
        Column("s4", "float", 0, 50, description="Total cholesterol over HDL"),
        Column("s5", "float", 0, 20, description="Possibly the logarithm of serum triglycerides"),
        Column("s6", "float", 0, 1000, "mg/dl", "Blood sugar"),
        Column("progression", "int", 0, 1000, description="Of the disease, after a year"),
    ),
    target="progression",
    task=Task.regression,
    sample=SAMPLES / "diabetes.csv",
    description="442 patients (Efron et al., 2004), as scikit-learn ships them.",
)
