"""Names that are hard to draw, as real tables have them."""

LONG = "customer_average_transaction_value_over_the_last_twelve_months_in_local_currency"
ASIAN = "顧客満足度の平均値（直近十二か月間の移動平均、税抜き、全地域合計）と解約率の関係"
