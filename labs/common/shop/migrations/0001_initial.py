from typing import Any

from django.db import migrations, models

KEY = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


class Migration(migrations.Migration):
    initial = True
    dependencies: Any = ()
    operations = (
        migrations.CreateModel(
            "Account", [KEY, ("coins", models.IntegerField()), ("received", models.IntegerField(default=0))]
        ),
        migrations.CreateModel("Note", [KEY, ("text", models.CharField(max_length=40))]),
        migrations.CreateModel("Product", [KEY, ("name", models.CharField(max_length=40))]),
    )
