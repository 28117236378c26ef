//! Phrases for generated dialogs in many languages and scripts, as people and bots might write them.
//!
//! `{name}`, `{number}`, `{time}`, `{date}` and `{amount}` are slots. A change here changes the dialogs of every
//! seed.

/// The phrases of one language.
pub(super) struct Phrases {
    pub(super) language: &'static str,
    /// The names before a turn of the customer and of the bot.
    pub(super) speakers: [&'static str; 2],
    /// The format of a date, with `{day}` and `{month}`.
    pub(super) date: &'static str,
    /// The format of an amount, with `{whole}` and `{cents}`.
    pub(super) amount: &'static str,
    pub(super) names: &'static [&'static str],
    /// The bot's first turn.
    pub(super) greetings: &'static [&'static str],
    /// Conversations: the customer and the bot speak alternately, the customer first.
    pub(super) talks: &'static [&'static [&'static str]],
    /// The last turn of the customer and of the bot.
    pub(super) endings: &'static [[&'static str; 2]],
}

pub(super) const LANGUAGES: &[Phrases] = &[
    Phrases {
        language: "en",
        speakers: ["Customer", "Bot"],
        date: "{day}/{month}",
        amount: "£{whole}.{cents}",
        names: &["Amelia", "Oliver", "Priya", "Siobhán", "Jack", "Zoë"],
        greetings: &[
            "Hello {name}! How can I help you today?",
            "Hi {name}, what can I do for you?",
        ],
        talks: &[
            &[
                "Where is my parcel? The order number is {number}.",
                "Let me look that up… Your parcel left our warehouse on {date}.",
                "The tracking page only says \"in transit\". It has said so for a week!",
                "I am sorry about that. The driver will be with you on {date}, by {time} at the latest.",
            ],
            &[
                "I've been charged {amount} twice for bill {number}.",
                "You are right, I can see two payments. Shall I send one of them back?",
                "Yes please. How long will that take?",
                "Three working days. You will get {amount} back on the card you paid with.",
            ],
            &[
                "Can I move my appointment on {date}?",
                "Of course. There is a free slot on {date} at {time}. Would that suit you?",
                "Perfect, I'll take it.",
                "Done! Your confirmation number is {number}.",
            ],
            &[
                "The app won't let me log in. It says \"error {number}\".",
                "That message means that your password has expired. I can send you a link.",
                "OK, do that. I don't get it though:\n- I changed it on {date}\n- it worked until {time}",
                "Thank you, that helps. Please use the link within the hour, then it will work again.",
            ],
        ],
        endings: &[
            ["Great, thanks a lot 🙂", "You're welcome. Have a nice day!"],
            ["That's all, bye.", "Goodbye {name}!"],
            ["Finally! 🎉🎉", "Glad I could help. 👋"],
        ],
    },
    Phrases {
        language: "de",
        speakers: ["Kunde", "Bot"],
        date: "{day}.{month}.",
        amount: "{whole},{cents} €",
        names: &["Jürgen", "Käthe", "Anna", "Björn", "Frau Weiß", "Mehmet"],
        greetings: &["Guten Tag, {name}! Wie kann ich helfen?", "Hallo {name}, worum geht es?"],
        talks: &[
            &[
                "Wo bleibt mein Paket? Die Bestellnummer ist {number}.",
                "Einen Augenblick bitte … Ihr Paket ist seit dem {date} unterwegs.",
                "In der Verfolgung steht nur „wird zugestellt“, und das seit Tagen!",
                "Das tut mir leid. Es kommt am {date}, spätestens um {time} Uhr.",
            ],
            &[
                "Auf der Rechnung {number} stehen {amount} zu viel.",
                "Sie haben recht, die Gutschrift fehlt. Soll ich sie nachtragen?",
                "Ja, bitte. Bekomme ich dann eine neue Rechnung?",
                "Ja, sie kommt heute noch per E-Mail. Die {amount} gehen auf Ihr Konto zurück.",
            ],
            &[
                "Ich muss meinen Termin am {date} verschieben.",
                "Gern. Am {date} um {time} Uhr wäre noch etwas frei. Passt das?",
                "Ja, das passt. Früher geht es wohl nicht? Größere Umstände möchte ich nicht machen.",
                "Leider nicht. Der Termin ist eingetragen, die Bestätigung hat die Nummer {number}.",
            ],
        ],
        endings: &[
            ["Danke schön! 😊", "Sehr gern. Einen schönen Tag noch!"],
            ["Gut, das war alles.", "Auf Wiederhören, {name}!"],
        ],
    },
    Phrases {
        language: "fr",
        speakers: ["Client", "Assistant"],
        date: "{day}/{month}",
        amount: "{whole},{cents} €",
        names: &["Chloé", "François", "Inès", "Noël", "Maëlle", "Karim"],
        greetings: &[
            "Bonjour {name} ! Comment puis-je vous aider ?",
            "Bonjour {name}, que puis-je faire pour vous ?",
        ],
        talks: &[
            &[
                "Où est passé mon colis ? C'est la commande n° {number}.",
                "Je regarde… Il a quitté notre entrepôt le {date}.",
                "Le site affiche « en cours d'acheminement » depuis une semaine !",
                "Je suis désolé. Il sera chez vous le {date}, avant {time}.",
            ],
            &[
                "J'ai été débité deux fois de {amount} pour la facture {number}.",
                "En effet, je vois deux paiements. Voulez-vous être remboursé ?",
                "Oui, s'il vous plaît. Ça prendra combien de temps ?",
                "Trois jours ouvrés. Les {amount} seront rendus sur votre carte.",
            ],
            &[
                "Est-ce que je peux déplacer mon rendez-vous du {date} ?",
                "Bien sûr. Il reste une place le {date} à {time}. Cela vous convient ?",
                "Parfait, je la prends.",
                "C'est noté ! Votre numéro de confirmation est le {number}.",
            ],
        ],
        endings: &[
            ["Super, merci beaucoup 😊", "Avec plaisir. Bonne journée !"],
            ["C'est tout, au revoir.", "Au revoir {name} !"],
        ],
    },
    Phrases {
        language: "es",
        speakers: ["Cliente", "Asistente"],
        date: "{day}/{month}",
        amount: "{whole},{cents} €",
        names: &["Lucía", "Íñigo", "María José", "Andrés", "Begoña", "Ángel"],
        greetings: &[
            "¡Hola, {name}! ¿En qué puedo ayudarte?",
            "Buenos días, {name}. ¿Qué necesitas?",
        ],
        talks: &[
            &[
                "¿Dónde está mi paquete? El número de pedido es {number}.",
                "Un momento… Salió de nuestro almacén el {date}.",
                "La web dice «en reparto» desde hace una semana. ¡No puede ser!",
                "Lo siento mucho. Te llegará el {date}, antes de las {time}.",
            ],
            &[
                "Me han cobrado {amount} dos veces por la factura {number}.",
                "Tienes razón, veo dos pagos. ¿Quieres que te devuelva uno?",
                "Sí, por favor. ¿Cuánto tarda?",
                "Tres días laborables. Recibirás {amount} en la misma tarjeta.",
            ],
            &[
                "¿Puedo cambiar la cita del {date}?",
                "Claro. Hay un hueco el {date} a las {time}. ¿Te viene bien?",
                "Perfecto, me lo quedo.",
                "¡Hecho! Tu número de confirmación es {number}.",
            ],
        ],
        endings: &[
            ["¡Muchísimas gracias! 🙏", "De nada. ¡Que tengas un buen día!"],
            ["Nada más, adiós.", "¡Hasta pronto, {name}!"],
        ],
    },
    Phrases {
        language: "pt-BR",
        speakers: ["Cliente", "Atendente"],
        date: "{day}/{month}",
        amount: "R$ {whole},{cents}",
        names: &["João", "Conceição", "Antônia", "Luís", "Tainá", "Zé"],
        greetings: &["Olá, {name}! Como posso ajudar?", "Oi, {name}! O que você precisa?"],
        talks: &[
            &[
                "Cadê a minha encomenda? O pedido é o {number}.",
                "Só um instante… Ela saiu do nosso depósito no dia {date}.",
                "O site diz \"em trânsito\" há uma semana!",
                "Peço desculpas. Ela chega no dia {date}, até as {time}.",
            ],
            &[
                "Fui cobrado duas vezes em {amount} na fatura {number}.",
                "É verdade, há dois pagamentos. Quer que eu devolva um deles?",
                "Quero sim. Quanto tempo leva?",
                "Três dias úteis. Os {amount} voltam para o mesmo cartão.",
            ],
            &[
                "Dá para remarcar a consulta do dia {date}?",
                "Claro. Tem um horário no dia {date}, às {time}. Fica bom?",
                "Fica ótimo, pode marcar.",
                "Pronto! O número da confirmação é {number}.",
            ],
        ],
        endings: &[
            ["Valeu, muito obrigado! 😄", "Por nada. Tenha um bom dia!"],
            ["É só isso, tchau.", "Até mais, {name}!"],
        ],
    },
    Phrases {
        language: "it",
        speakers: ["Cliente", "Assistente"],
        date: "{day}/{month}",
        amount: "{whole},{cents} €",
        names: &["Niccolò", "Giulia", "Chiara", "Matteo", "Noè", "Lucia"],
        greetings: &["Buongiorno {name}! Come posso aiutarla?", "Salve {name}, mi dica pure."],
        talks: &[
            &[
                "Dov'è il mio pacco? L'ordine è il {number}.",
                "Controllo subito… È partito dal magazzino il {date}.",
                "Il sito dice «in consegna» da una settimana. È possibile?",
                "Mi dispiace. Arriverà il {date}, entro le {time}.",
            ],
            &[
                "Mi avete addebitato {amount} due volte per la fattura {number}.",
                "È vero, vedo due pagamenti. Vuole il rimborso?",
                "Sì, grazie. Quanto ci vuole?",
                "Tre giorni lavorativi. Riavrà {amount} sulla stessa carta.",
            ],
            &[
                "Posso spostare l'appuntamento del {date}?",
                "Certo. C'è posto il {date} alle {time}. Le va bene?",
                "Benissimo, lo prendo.",
                "Fatto! Il numero di conferma è {number}.",
            ],
        ],
        endings: &[
            ["Perfetto, grazie mille! 🙂", "Prego. Buona giornata!"],
            ["È tutto, arrivederci.", "Arrivederci {name}!"],
        ],
    },
    Phrases {
        language: "pl",
        speakers: ["Klient", "Bot"],
        date: "{day}.{month}",
        amount: "{whole},{cents} zł",
        names: &["Łukasz", "Żaneta", "Małgorzata", "Wojciech", "Świętosława", "Michał"],
        greetings: &["Dzień dobry! W czym mogę pomóc?", "Witamy! Proszę napisać, o co chodzi."],
        talks: &[
            &[
                "Gdzie jest moja paczka? Numer zamówienia to {number}.",
                "Już sprawdzam… Paczka wyszła z magazynu {date}.",
                "Na stronie od tygodnia jest tylko „w drodze”!",
                "Bardzo przepraszam. Dotrze {date}, najpóźniej o {time}.",
            ],
            &[
                "Za fakturę {number} pobrano dwa razy {amount}.",
                "Rzeczywiście, widzę dwie płatności. Czy zwrócić jedną z nich?",
                "Tak, proszę. Ile to potrwa?",
                "Trzy dni robocze. Kwota {amount} wróci na tę samą kartę.",
            ],
            &[
                "Czy mogę przełożyć wizytę z {date}?",
                "Oczywiście. Wolny termin to {date}, godzina {time}. Czy pasuje?",
                "Świetnie, biorę.",
                "Gotowe! Numer potwierdzenia: {number}.",
            ],
        ],
        endings: &[
            ["Dziękuję bardzo! 😊", "Proszę bardzo. Miłego dnia!"],
            ["To wszystko, do widzenia.", "Do usłyszenia!"],
        ],
    },
    Phrases {
        language: "tr",
        speakers: ["Müşteri", "Asistan"],
        date: "{day}.{month}",
        amount: "{whole},{cents} ₺",
        names: &["Ayşe", "İbrahim", "Çağla", "Işıl", "Oğuz", "Gülşen"],
        greetings: &[
            "Merhaba {name}! Size nasıl yardımcı olabilirim?",
            "İyi günler {name}, buyurun.",
        ],
        talks: &[
            &[
                "Kargom nerede kaldı? Sipariş numarası {number}.",
                "Hemen bakıyorum… Paketiniz {date} tarihinde depodan çıkmış.",
                "Takip sayfasında bir haftadır \"yolda\" yazıyor!",
                "Çok özür dilerim. {date} günü en geç saat {time} gibi elinizde olacak.",
            ],
            &[
                "{number} numaralı fatura için iki kez {amount} çekilmiş.",
                "Haklısınız, iki ödeme görünüyor. Birini iade edeyim mi?",
                "Evet, lütfen. Ne kadar sürer?",
                "Üç iş günü. {amount} aynı karta geri yatacak.",
            ],
            &[
                "{date} tarihindeki randevumu değiştirebilir miyim?",
                "Tabii. {date} günü saat {time} boş. Uygun mu?",
                "Çok iyi, onu alayım.",
                "Tamamdır! Onay numaranız {number}.",
            ],
        ],
        endings: &[
            ["Çok teşekkürler 🙏", "Rica ederim. İyi günler!"],
            ["Bu kadar, hoşça kalın.", "Görüşmek üzere {name}!"],
        ],
    },
    Phrases {
        language: "ru",
        speakers: ["Клиент", "Бот"],
        date: "{day}.{month}",
        amount: "{whole},{cents} ₽",
        names: &["Ольга", "Фёдор", "Наталья", "Юрий", "Алёна", "Сергей"],
        greetings: &[
            "Здравствуйте, {name}! Чем могу помочь?",
            "Добрый день, {name}! Что случилось?",
        ],
        talks: &[
            &[
                "Где моя посылка? Номер заказа {number}.",
                "Сейчас посмотрю… Она вышла со склада {date}.",
                "На сайте уже неделю написано «в пути»!",
                "Приношу извинения. Её доставят {date}, не позднее {time}.",
            ],
            &[
                "По счёту {number} с меня дважды списали {amount}.",
                "Да, вижу два платежа. Вернуть один из них?",
                "Да, пожалуйста. Сколько это займёт?",
                "Три рабочих дня. {amount} вернутся на ту же карту.",
            ],
            &[
                "Можно перенести запись с {date}?",
                "Конечно. Есть свободное время {date} в {time}. Подойдёт?",
                "Отлично, записывайте.",
                "Готово! Номер подтверждения: {number}.",
            ],
        ],
        endings: &[
            ["Спасибо большое! 👍", "Пожалуйста. Хорошего дня!"],
            ["Это всё, до свидания.", "До свидания, {name}!"],
        ],
    },
    Phrases {
        language: "el",
        speakers: ["Πελάτης", "Βοηθός"],
        date: "{day}/{month}",
        amount: "{whole},{cents} €",
        names: &["Ελένη", "Γιώργος", "Δήμητρα", "Νίκος", "Αγγελική", "Θανάσης"],
        greetings: &["Γεια σας! Πώς μπορώ να βοηθήσω;", "Καλημέρα! Τι θα θέλατε;"],
        talks: &[
            &[
                "Πού είναι το δέμα μου; Ο αριθμός παραγγελίας είναι {number}.",
                "Μια στιγμή… Έφυγε από την αποθήκη στις {date}.",
                "Η σελίδα γράφει «σε μεταφορά» εδώ και μία εβδομάδα!",
                "Λυπάμαι πολύ. Θα φτάσει στις {date}, το αργότερο στις {time}.",
            ],
            &[
                "Χρεώθηκα δύο φορές {amount} για τον λογαριασμό {number}.",
                "Έχετε δίκιο, βλέπω δύο πληρωμές. Να σας επιστρέψω τη μία;",
                "Ναι, παρακαλώ. Πόσο θα πάρει;",
                "Τρεις εργάσιμες. Τα {amount} θα επιστραφούν στην ίδια κάρτα.",
            ],
            &[
                "Μπορώ να αλλάξω το ραντεβού στις {date};",
                "Βεβαίως. Υπάρχει κενό στις {date}, ώρα {time}. Σας βολεύει;",
                "Τέλεια, το κρατάω.",
                "Έγινε! Ο αριθμός επιβεβαίωσης είναι {number}.",
            ],
        ],
        endings: &[
            ["Ευχαριστώ πολύ! 😀", "Παρακαλώ. Καλή σας μέρα!"],
            ["Αυτά, γεια σας.", "Γεια σας!"],
        ],
    },
    Phrases {
        language: "ar",
        speakers: ["العميل", "المساعد"],
        date: "{day}/{month}",
        amount: "{whole}.{cents} ريال",
        names: &["فاطمة", "أحمد", "ليلى", "يوسف", "نور", "خالد"],
        greetings: &["مرحبًا {name}! كيف يمكنني مساعدتك؟", "أهلًا {name}، بماذا أخدمك؟"],
        talks: &[
            &[
                "أين طردي؟ رقم الطلب {number}.",
                "لحظة من فضلك… خرج الطرد من المستودع بتاريخ {date}.",
                "الموقع يقول «قيد التوصيل» منذ أسبوع!",
                "نعتذر عن ذلك. سيصلك يوم {date} قبل الساعة {time}.",
            ],
            &[
                "خُصم مني {amount} مرتين عن الفاتورة {number}.",
                "هذا صحيح، أرى دفعتين. هل أعيد لك إحداهما؟",
                "نعم، من فضلك. كم يستغرق ذلك؟",
                "ثلاثة أيام عمل. سيعود مبلغ {amount} إلى البطاقة نفسها.",
            ],
            &[
                "هل يمكنني تغيير موعدي يوم {date}؟",
                "بالتأكيد. هناك موعد متاح يوم {date} الساعة {time}. هل يناسبك؟",
                "ممتاز، سآخذه.",
                "تم الحجز! رقم التأكيد {number}.",
            ],
        ],
        endings: &[
            ["شكرًا جزيلًا 🌹", "على الرحب والسعة. يومك سعيد!"],
            ["هذا كل شيء، مع السلامة.", "إلى اللقاء {name}!"],
        ],
    },
    Phrases {
        language: "he",
        speakers: ["לקוח", "בוט"],
        date: "{day}.{month}",
        amount: "{whole}.{cents} ₪",
        names: &["נועה", "יוסי", "שירה", "אבי", "תמר", "דוד"],
        greetings: &["שלום {name}! איך אפשר לעזור?", "היי {name}, במה מדובר?"],
        talks: &[
            &[
                "איפה החבילה שלי? מספר ההזמנה {number}.",
                "רגע, בודק… החבילה יצאה מהמחסן ב-{date}.",
                "באתר כתוב \"בדרך\" כבר שבוע!",
                "אני מתנצל. היא תגיע ב-{date}, עד השעה {time}.",
            ],
            &[
                "חויבתי פעמיים ב-{amount} על חשבונית {number}.",
                "נכון, אני רואה שני תשלומים. להחזיר אחד מהם?",
                "כן, בבקשה. כמה זמן זה ייקח?",
                "שלושה ימי עסקים. {amount} יוחזרו לאותו כרטיס.",
            ],
            &[
                "אפשר להזיז את התור ב-{date}?",
                "בטח. יש מקום פנוי ב-{date} בשעה {time}. מתאים?",
                "מצוין, אני לוקח.",
                "נקבע! מספר האישור: {number}.",
            ],
        ],
        endings: &[["תודה רבה! 🙏", "בשמחה. יום טוב!"], ["זה הכול, להתראות.", "להתראות {name}!"]],
    },
    Phrases {
        language: "fa",
        speakers: ["مشتری", "پشتیبان"],
        date: "{month}/{day}",
        amount: "{whole}٫{cents} تومان",
        names: &["مریم", "رضا", "سارا", "علی‌رضا", "نگار", "پویا"],
        greetings: &["سلام {name}! چه کمکی از من برمی‌آید؟", "سلام {name}، بفرمایید."],
        talks: &[
            &[
                "بسته‌ام کجاست؟ شماره سفارش {number} است.",
                "یک لحظه… بسته در تاریخ {date} از انبار خارج شده است.",
                "یک هفته است که سایت می‌نویسد «در راه»!",
                "عذر می‌خواهم. تا {date} ساعت {time} به دستتان می‌رسد.",
            ],
            &[
                "برای صورت‌حساب {number} دو بار {amount} کم شده است.",
                "درست است، دو پرداخت می‌بینم. یکی را برگردانم؟",
                "بله، لطفاً. چقدر طول می‌کشد؟",
                "سه روز کاری. مبلغ {amount} به همان کارت برمی‌گردد.",
            ],
            &[
                "می‌توانم وقت {date} را عوض کنم؟",
                "حتماً. {date} ساعت {time} خالی است. خوب است؟",
                "عالی است، همان را می‌خواهم.",
                "انجام شد! شماره تأیید {number} است.",
            ],
        ],
        endings: &[
            ["خیلی ممنون 🌸", "خواهش می‌کنم. روز خوش!"],
            ["همین بود، خداحافظ.", "خدانگهدار {name}!"],
        ],
    },
    Phrases {
        language: "hi",
        speakers: ["ग्राहक", "सहायक"],
        date: "{day}/{month}",
        amount: "₹{whole}.{cents}",
        names: &["प्रिया", "राहुल", "अनीता", "विक्रम", "ज्योति", "श्रीकांत"],
        greetings: &["नमस्ते {name}! मैं आपकी क्या मदद कर सकता हूँ?", "नमस्कार {name}, बताइए।"],
        talks: &[
            &[
                "मेरा पार्सल कहाँ है? ऑर्डर नंबर {number} है।",
                "एक मिनट… पार्सल {date} को गोदाम से निकल चुका है।",
                "वेबसाइट पर एक हफ़्ते से \"रास्ते में\" लिखा है!",
                "माफ़ कीजिए। वह {date} को {time} बजे तक पहुँच जाएगा।",
            ],
            &[
                "बिल {number} के लिए {amount} दो बार कट गए हैं।",
                "जी हाँ, दो भुगतान दिख रहे हैं। क्या एक वापस कर दूँ?",
                "हाँ, कृपया। कितना समय लगेगा?",
                "तीन कार्य दिवस। {amount} उसी कार्ड पर वापस आएँगे।",
            ],
            &[
                "क्या {date} की अपॉइंटमेंट बदल सकती है?",
                "ज़रूर। {date} को {time} बजे जगह खाली है। ठीक रहेगा?",
                "बढ़िया, वही कर दीजिए।",
                "हो गया! पुष्टि संख्या {number} है।",
            ],
        ],
        endings: &[
            ["बहुत धन्यवाद 🙏", "आपका स्वागत है। शुभ दिन!"],
            ["बस इतना ही।", "फिर मिलेंगे, {name}!"],
        ],
    },
    Phrases {
        language: "ja",
        speakers: ["お客様", "ボット"],
        date: "{month}月{day}日",
        amount: "{whole}{cents}円",
        names: &["佐藤", "鈴木", "髙橋", "渡邊", "さくら", "ケンジ"],
        greetings: &[
            "{name}様、こんにちは。ご用件をお聞かせください。",
            "いらっしゃいませ、{name}様。",
        ],
        talks: &[
            &[
                "荷物がまだ届きません。注文番号は{number}です。",
                "お調べします…。{date}に倉庫から発送されています。",
                "追跡ページは一週間ずっと「輸送中」のままです!",
                "申し訳ございません。{date}の{time}までにお届けします。",
            ],
            &[
                "請求書{number}で{amount}が二重に引き落とされています。",
                "確かに二件のお支払いがございます。一件を返金いたしましょうか?",
                "お願いします。どのくらいかかりますか?",
                "三営業日です。{amount}を同じカードにお戻しします。",
            ],
            &[
                "{date}の予約を変更できますか?",
                "はい。{date}の{time}が空いております。いかがでしょうか?",
                "それでお願いします。",
                "承りました。確認番号は{number}です。",
            ],
        ],
        endings: &[
            ["助かりました😊", "良い一日をお過ごしください。"],
            ["以上です。", "またのご利用をお待ちしております。"],
        ],
    },
    Phrases {
        language: "zh-Hans",
        speakers: ["顾客", "客服"],
        date: "{month}月{day}日",
        amount: "{whole}.{cents}元",
        names: &["王芳", "李伟", "张敏", "刘洋", "陈静", "赵磊"],
        greetings: &["{name},您好!请问有什么可以帮您?", "您好,{name}!请讲。"],
        talks: &[
            &[
                "我的包裹在哪儿?订单号是{number}。",
                "请稍等……包裹已于{date}从仓库发出。",
                "网站上一个星期都显示“运输中”!",
                "非常抱歉。{date}{time}之前一定送到。",
            ],
            &[
                "账单{number}重复扣了我{amount}。",
                "确实有两笔付款。要为您退回一笔吗?",
                "好的,麻烦了。要多久?",
                "三个工作日。{amount}会退回原来的卡。",
            ],
            &[
                "{date}的预约可以改时间吗?",
                "可以。{date}{time}有空位,您方便吗?",
                "太好了,就这个时间。",
                "已改好!确认号是{number}。",
            ],
        ],
        endings: &[["谢谢🙏", "不客气,祝您愉快!"], ["没有别的事了,再见。", "再见,{name}!"]],
    },
    Phrases {
        language: "ko",
        speakers: ["고객", "상담봇"],
        date: "{month}월 {day}일",
        amount: "{whole}{cents}원",
        names: &["김민지", "이준호", "박서연", "최현우", "정수빈", "한지훈"],
        greetings: &["{name}님, 안녕하세요! 무엇을 도와드릴까요?", "{name}님, 반갑습니다."],
        talks: &[
            &[
                "택배가 아직 안 왔어요. 주문 번호는 {number}입니다.",
                "확인해 보겠습니다… {date}에 창고에서 출발했습니다.",
                "조회하면 일주일째 '배송 중'이라고만 나와요!",
                "죄송합니다. {date} {time}까지 도착할 예정입니다.",
            ],
            &[
                "청구서 {number}에서 {amount}이 두 번 결제됐어요.",
                "네, 결제가 두 건 보입니다. 한 건을 환불해 드릴까요?",
                "네, 부탁드려요. 얼마나 걸리나요?",
                "영업일 기준 사흘입니다. {amount}은 같은 카드로 환불됩니다.",
            ],
            &[
                "{date} 예약을 바꿀 수 있나요?",
                "네, {date} {time}에 자리가 있습니다. 괜찮으신가요?",
                "좋아요, 그걸로 할게요.",
                "변경되었습니다! 확인 번호는 {number}입니다.",
            ],
        ],
        endings: &[
            ["감사합니다 😊", "좋은 하루 보내세요!"],
            ["그게 다예요.", "{name}님, 안녕히 가세요!"],
        ],
    },
];
